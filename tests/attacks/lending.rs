//! Lending twice by one approval, and more than a flow allows.

use keyloan::api::*;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::scene::{APPROVERS, Scene};
use crate::world::{TEAM, condition};

/// A request that has ended is applied again; and made again under its name, with its former approvals beside it.
pub async fn again_by_the_same_request(scene: &Scene) {
    let mut request = scene.request_of("alice");
    request["metadata"] = json!({ "name": "again", "namespace": TEAM });
    let grant = scene.waits(request.clone()).await;
    scene.runs(&grant).await;
    scene.decide("carol", &grant, "Revoke").await;
    let is_over = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.ended_at.is_some());
    let over = scene.world.until(&grant, is_over).await;

    apply_and_replace(scene, &request).await;
    // What is asked for later is lent: the operator has seen both by then.
    let later = scene.waiting().await;
    scene.is_lent(&later).await;
    let still = scene.world.until(&grant, |_| true).await;
    assert_eq!(still.uid(), grant.uid());
    let outcome = |grant: &AccessGrant| {
        let status = grant.status.clone().expect("a status");
        (status.phase, status.ended_at, status.link)
    };
    assert_eq!(outcome(&still), outcome(&over));
    let record = scene.world.until_record(&grant, |_| true).await;
    assert_eq!(record.spec.links.len(), 1, "it has had its link");

    scene.delete("alice", &grant).await.expect("deleted");
    let anew = scene.waits(request).await;
    assert_ne!(anew.uid(), grant.uid());
    let former = "it is about another request of this name: its grantUid is not this one's";
    let decisions = APPROVERS.len() + 1;
    let all_ignored = |g: &AccessGrant| {
        let status = g.status.as_ref();
        status.is_some_and(|s| s.ignored_decisions.len() == decisions)
    };
    let status = scene.world.until(&anew, all_ignored).await.status;
    let ignored = status.expect("a status").ignored_decisions;
    assert!(ignored.iter().all(|i| i.reason == former), "{ignored:?}");
    scene.nothing_else_is_lent().await;
    scene.is_lent(&anew).await;
}

/// As `kubectl apply --server-side` and `kubectl replace` do with the file that the request was made from.
async fn apply_and_replace(scene: &Scene, request: &Value) {
    let resource = super::scene::resource("keyloan.dev", "v1alpha1", "AccessGrant");
    let alices: Api<DynamicObject> =
        Api::namespaced_with(scene.person("alice").await, TEAM, &resource);
    let name = request["metadata"]["name"].as_str().expect("one");
    let (parameters, file) = (PatchParams::apply("kubectl").force(), Patch::Apply(request));
    let applied = alices.patch(name, &parameters, &file).await;
    let applied = applied.expect("nothing of it changes");

    let mut whole: DynamicObject = serde_json::from_value(request.clone()).expect("an object");
    whole.metadata.resource_version = applied.resource_version();
    let replaced = alices.replace(name, &PostParams::default(), &whole).await;
    let replaced = replaced.expect("nothing of it changes");
    assert_eq!(replaced.data["spec"], applied.data["spec"]);
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
