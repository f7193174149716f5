//! Lending twice by one approval, and more than a flow allows.

use std::time::Duration;

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
    let former = "the decision is about another request of this name: its grantUid differs";
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

/// Two requests for the last place; and the place of a loan that was deleted stays taken as long as its link may open.
pub async fn past_the_limit(scene: &Scene) {
    let world = &scene.world;
    let request = by_a_flow_of_one_place(scene, "one-each").await;
    let (one, two) = tokio::join!(
        scene.create("alice", request.clone()),
        scene.create("alice", request.clone())
    );
    let grants = [one, two].map(|made| grant(made.expect("asked")));
    let settled = |g: &AccessGrant| {
        let active = condition(g, ACTIVE).is_some_and(|c| c.status == "True");
        let full = condition(g, ACTIVE).is_some_and(|c| c.reason == "LimitReached");
        active || full || has_no_place(g)
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

    scene.delete("alice", &lent[0]).await.expect("given back");
    let ended = world.until_record(&lent[0], |r| r.spec.end.is_some()).await;
    let other = grants
        .iter()
        .find(|g| g.uid() != lent[0].uid())
        .expect("the other one");
    world.until(other, has_no_place).await;
    until_its_links_are_over(scene, &ended).await;
    scene.gets_a_share(other).await;
    scene.delete("alice", other).await.expect("given back");
}

/// A request is deleted and made again under its name, as if it had lent nothing.
pub async fn a_deleted_request_made_again(scene: &Scene) {
    let world = &scene.world;
    let mut request = by_a_flow_of_one_place(scene, "one-at-a-time").await;
    request["metadata"] = json!({ "name": "once-more", "namespace": TEAM });
    let first = scene.create("alice", request.clone()).await;
    let first = scene.gets_a_share(&grant(first.expect("asked"))).await;
    scene.delete("alice", &first).await.expect("given back");
    let ended = world.until_record(&first, |r| r.spec.end.is_some()).await;

    let again = scene.create("alice", request).await;
    let again = world
        .until(&grant(again.expect("asked")), has_no_place)
        .await;
    assert_ne!(again.uid(), first.uid());
    let until = ended.spec.residual_until.as_ref().expect("a link").0;
    let message = &condition(&again, ACCEPTED).expect("said").message;
    for says in [
        "you have reached this flow's limit of 1 active loan",
        &format!("the next of them ends by {until:.0}"),
    ] {
        assert!(message.contains(says), "{message}");
    }
    let status = again.status.as_ref().expect("a status");
    let flows: Vec<_> = status.considered_flows.iter().map(|f| &f.name).collect();
    assert_eq!(flows, ["one-at-a-time"]);
    scene.nothing_else_is_lent().await;

    until_its_links_are_over(scene, &ended).await;
    scene.gets_a_share(&again).await;
    scene.delete("alice", &again).await.expect("given back");
}

/// A request of alice's by a flow that asks for nobody's approval and has one place for each.
async fn by_a_flow_of_one_place(scene: &Scene, name: &str) -> Value {
    scene
        .world
        .flow(name, |flow| flow.limits.active_per_requester = 1)
        .await;
    let mut request = scene.request_of("alice");
    request["spec"]["flow"] = json!(name);
    request
}

fn grant(made: Value) -> AccessGrant {
    serde_json::from_value(made).expect("a grant")
}

fn has_no_place(grant: &AccessGrant) -> bool {
    condition(grant, ACCEPTED).is_some_and(|c| c.reason == "LimitReached")
}

/// Lets so much time pass that no link of an ended loan opens any more.
async fn until_its_links_are_over(scene: &Scene, ended: &AccessRecord) {
    let until = ended.spec.residual_until.as_ref().expect("a link").0;
    let left = until.duration_since(scene.world.now());
    let left = Duration::try_from(left).expect("a time to come");
    scene.world.advance(left + Duration::from_secs(1)).await;
}
