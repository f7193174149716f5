//! Changing what has been approved: the approvals are then of other terms, and no longer count.

use std::time::Duration;

use keyloan::api::*;
use keyloan_simulator::{Fault, FaultKind, ItemChanges};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::scene::{APPROVERS, FLOW, Scene};
use crate::world::PLATFORM;

const ITEM: &str = "GET /api/v1/vault/{vault}/item/{item}";
const POLICY: &str = "GET /api/v4/itemshare/preflight/{vault}/{item}";

/// Longer than any loosening takes, and not as long as the operator waits for an answer.
const HELD_BACK: Duration = Duration::from_secs(15);

/// An item of another title than anybody asks for.
const ANOTHER_ITEM: &str = "apikeyoneaaaaaaaaaaaaaaaae";

/// The flow is loosened when two of three have approved, and the third one approves what they have seen.
pub async fn a_flow_loosened_between_approvals(scene: &Scene) {
    let grant = scene.waiting().await;
    let [one, two, last] = APPROVERS;
    let mut approvals = approved_by(scene, &grant, &[one, two]).await;
    loosen(scene, "12h").await;
    are_void(scene, &grant, &approvals).await;
    approvals.extend(approved_by(scene, &grant, &[last]).await);
    let changed = are_void(scene, &grant, &approvals).await;
    scene.is_lent(&changed).await;
}

/// The same with an edit that changes nothing for this request: the approvals count, whatever generation the flow has.
pub async fn a_flow_edited_for_others_between_approvals(scene: &Scene) {
    let grant = scene.waiting().await;
    let [one, two, last] = APPROVERS;
    approved_by(scene, &grant, &[one, two]).await;
    let flows: Api<AccessFlow> = Api::namespaced(scene.world.admin.clone(), PLATFORM);
    let for_others = json!({ "spec": { "grant": { "maxDuration": "6d" } } });
    let edited = flows
        .patch(FLOW, &PatchParams::default(), &Patch::Merge(for_others))
        .await
        .expect("changed");
    let is_seen = |g: &AccessGrant| {
        let terms = g.status.as_ref().and_then(|s| s.terms.as_ref());
        terms.map(|t| t.flow_generation) == edited.metadata.generation
    };
    let seen = scene.world.until(&grant, is_seen).await;
    let digest = |grant: &AccessGrant| grant.status.as_ref().and_then(|s| s.digest.clone());
    assert_eq!(digest(&seen), digest(&grant));
    approved_by(scene, &grant, &[last]).await;
    let lent = scene.gets_a_share(&grant).await;
    scene.delete("alice", &lent).await.expect("given back");
}

/// The flow is loosened when all have approved and the first link is still to come: 1Password is asked whether it can be made, or will
/// be asked again.
pub async fn a_flow_loosened_before_the_first_link(scene: &Scene) {
    let control = &scene.world.control;
    for (route, trouble, loosened) in [
        (POLICY, FaultKind::delay(HELD_BACK), "13h"),
        (ITEM, FaultKind::status(503), "14h"),
    ] {
        let grant = scene.waiting().await;
        control.reset_requests().await.expect("reset");
        let held_back = Fault {
            times: u32::MAX,
            ..Fault::once(route, trouble)
        };
        control.fault(held_back).await.expect("ordered");
        let approvals = approved_by(scene, &grant, &APPROVERS).await;
        // Nothing is fetched for a request that is not approved.
        scene.world.until_requested(route, 1).await;
        loosen(scene, loosened).await;
        let changed = are_void(scene, &grant, &approvals).await;
        control.clear_faults().await.expect("released");
        scene.is_lent(&changed).await;
    }
}

/// An item is approved by its title, and before the last approval the title goes to another one.
pub async fn a_title_given_to_another_item(scene: &Scene) {
    let mut request = scene.request_of("alice");
    request["spec"]["item"]["item"] = json!("web console");
    let grant = scene.waits(request).await;
    let [one, two, last] = APPROVERS;
    let mut approvals = approved_by(scene, &grant, &[one, two]).await;
    rename(scene, "web console", "former web console").await;
    rename(scene, ANOTHER_ITEM, "web console").await;
    approvals.extend(approved_by(scene, &grant, &[last]).await);
    let changed = are_void(scene, &grant, &approvals).await;
    let item = |grant: &AccessGrant| {
        let terms = grant.status.as_ref().and_then(|s| s.terms.as_ref());
        terms.expect("terms").item.id.clone()
    };
    assert_ne!(item(&grant), ANOTHER_ITEM);
    assert_eq!(item(&changed), ANOTHER_ITEM, "what is approved from now on");
    scene.is_lent(&changed).await;
    let shares = scene.world.control.shares().await.expect("shares");
    assert_eq!(shares.last().expect("one").item, ANOTHER_ITEM);
    rename(scene, ANOTHER_ITEM, "api key").await;
    rename(scene, "former web console", "web console").await;
}

/// These people approve the terms as this status shows them.
async fn approved_by(scene: &Scene, grant: &AccessGrant, people: &[&str]) -> Vec<Value> {
    let mut approvals = Vec::new();
    for who in people {
        approvals.push(scene.decide(who, grant, "Approve").await);
    }
    approvals
}

/// None of the approvals counts any more, and nothing is lent by them; returns the request with its new terms.
async fn are_void(scene: &Scene, grant: &AccessGrant, approvals: &[Value]) -> AccessGrant {
    let why = "the decision approves other terms: review the current terms and approve the digest in the status";
    for approval in approvals {
        scene.is_ignored(grant, approval, why).await;
    }
    let digest = |grant: &AccessGrant| grant.status.as_ref().and_then(|s| s.digest.clone());
    let changed = |g: &AccessGrant| digest(g).is_some() && digest(g) != digest(grant);
    let changed = scene.world.until(grant, changed).await;
    let counted = changed.status.as_ref().map(|s| s.decisions.as_slice());
    assert_eq!(counted, Some(&[][..]), "nobody has approved these terms");
    changed
}

async fn loosen(scene: &Scene, longest: &str) {
    let flows: Api<AccessFlow> = Api::namespaced(scene.world.admin.clone(), PLATFORM);
    let durations = json!({ "maxDuration": longest, "defaultDuration": longest });
    let loosened = Patch::Merge(json!({ "spec": { "grant": durations } }));
    flows
        .patch(FLOW, &PatchParams::default(), &loosened)
        .await
        .expect("changed");
}

async fn rename(scene: &Scene, item: &str, title: &str) {
    let changes = ItemChanges {
        title: Some(title.into()),
        ..ItemChanges::default()
    };
    let renamed = scene.world.control.edit_item("Infra", item, &changes);
    renamed.await.expect("renamed");
}
