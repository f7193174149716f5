//! Lending twice by one approval, and more than a flow allows.

use keyloan::api::*;
use kube::ResourceExt;
use serde_json::json;

use super::scene::Scene;
use crate::world::{TEAM, condition};

/// A request that has ended is applied again; and made again under its name, with its former approvals beside it.
pub async fn again_by_the_same_request(scene: &Scene) {
    let mut request = scene.request_of("alice");
    request["metadata"] = json!({ "name": "again", "namespace": TEAM });
    let grant = scene.waits(request.clone()).await;
    scene.runs(&grant).await;
    scene.decide("carol", &grant, "Revoke").await;
    let over = |g: &AccessGrant| condition(g, ACTIVE).is_some_and(|c| c.reason == "Revoked");
    scene.world.until(&grant, over).await;

    let again = json!({ "metadata": { "labels": { "applied": "again" } } });
    scene
        .patch("alice", &grant, again)
        .await
        .expect("nothing of the spec changes");
    scene.delete("alice", &grant).await.expect("deleted");
    let anew = scene.waits(request).await;
    assert_ne!(anew.uid(), grant.uid());
    let former = "it is about another request of this name: its grantUid is not this one's";
    let status = scene
        .world
        .until(&anew, |g| {
            g.status
                .as_ref()
                .is_some_and(|s| s.ignored_decisions.len() == 4)
        })
        .await
        .status
        .expect("a status");
    assert!(
        status.ignored_decisions.iter().all(|i| i.reason == former),
        "{status:?}"
    );
    scene.nothing_else_is_lent().await;
    scene.is_lent(&anew).await;
}

/// Two requests for the last place; and the place of a loan that was deleted stays taken only as long as the loan runs.
pub async fn past_the_limit(scene: &Scene) {
    let world = &scene.world;
    world
        .flow("one-each", |flow| {
            flow.limits = Some(FlowLimits {
                active_per_requester: Some(1),
                pending_per_requester: None,
            });
        })
        .await;
    let mut request = scene.request_of("alice");
    request["spec"]["flow"] = json!("one-each");
    let (one, two) = tokio::join!(
        scene.create("alice", request.clone()),
        scene.create("alice", request.clone())
    );
    let grants = [one, two]
        .map(|made| serde_json::from_value::<AccessGrant>(made.expect("asked")).expect("a grant"));
    let settled = |g: &AccessGrant| {
        let active = condition(g, ACTIVE).is_some_and(|c| c.status == "True");
        let full = |type_| condition(g, type_).is_some_and(|c| c.reason == "LimitReached");
        active || full(ACCEPTED) || full(ACTIVE)
    };
    let mut lent = Vec::new();
    for grant in &grants {
        let seen = world.until(grant, settled).await;
        if condition(&seen, ACTIVE).is_some_and(|c| c.status == "True") {
            lent.push(seen);
        }
    }
    assert_eq!(lent.len(), 1, "one of them has the place");
    scene.gets_a_share(&lent[0]).await;

    // Deleting the request ends its loan, and only then is there a place for the other one.
    scene.delete("alice", &lent[0]).await.expect("given back");
    world.until_record(&lent[0], |r| r.spec.end.is_some()).await;
    let other = grants
        .iter()
        .find(|g| g.uid() != lent[0].uid())
        .expect("the other one");
    scene.gets_a_share(other).await;
    scene.delete("alice", other).await.expect("given back");
}
