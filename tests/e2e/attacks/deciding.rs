//! Decisions that must not count: by the wrong people, on other terms, too late.

use jiff::SignedDuration;
use keyloan::api::*;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::scene::{Scene, create, refused};
use crate::world::{TEAM, condition};

type Forge = fn(&mut Value);

/// Each is made under the own name, is stored, has no effect, and status says why.
pub async fn approvals_that_do_not_count(scene: &Scene) {
    let nothing: Forge = |_| {};
    let attacks: [(&str, Forge, &str); 4] = [
        (
            "alice",
            nothing,
            "requesters cannot approve their own request",
        ),
        (
            "mallory",
            nothing,
            "this person is in none of the groups that approve the request",
        ),
        (
            "bob",
            |d| d["spec"]["grantUid"] = json!("0b54a15c-former"),
            "the decision is about another request of this name: its grantUid differs",
        ),
        (
            "bob",
            |d| d["spec"]["digest"] = json!("sha256:old"),
            "the decision approves other terms: review the current terms and approve the digest in the status",
        ),
    ];
    for (who, forge, why) in attacks {
        let grant = scene.waiting().await;
        let mut decision = scene.decision_of(who, &grant, "Approve");
        forge(&mut decision);
        let decision = scene.create(who, decision).await.expect("stored");
        scene.is_ignored(&grant, &decision, why).await;
        scene.is_lent(&grant).await;
    }
    let grant = scene.waiting().await;
    let once = scene.decide("carol", &grant, "Approve").await;
    let twice = scene.decide("carol", &grant, "Approve").await;
    let why = "this person has already approved; each person counts once";
    scene.one_is_ignored(&grant, &[&once, &twice], why).await;
    scene.is_lent(&grant).await;

    let grant = scene.waiting().await;
    let mut decision = scene.decision_of("bob", &grant, "Approve");
    let name = format!("system:serviceaccount:{TEAM}:bot");
    decision["spec"]["approver"] = json!({ "username": name });
    let made = create(scene.service_account("bot").await, decision).await;
    refused(made, "ServiceAccounts cannot decide on requests");
    scene.is_lent(&grant).await;
}

/// Carol is of security alone, and counts once there.
pub async fn one_person_for_two_groups(scene: &Scene) {
    let world = &scene.world;
    let twice = &[("first", "security", 1), ("second", "security", 1)];
    world
        .flow("twice", crate::world::needs_approval("AllOf", twice))
        .await;
    let mut request = scene.request_of("alice");
    request["spec"]["flow"] = json!("twice");
    let grant = scene.waits(request).await;
    let once = scene.decide("carol", &grant, "Approve").await;
    let again = scene.decide("carol", &grant, "Approve").await;
    let why = "this person has already approved; each person counts once";
    scene.one_is_ignored(&grant, &[&once, &again], why).await;
    scene.decide("dave", &grant, "Approve").await;
    scene.gets_a_share(&grant).await;
    scene.delete("alice", &grant).await.expect("given back");
}

/// Carol receives the link, by her address in whatever form, and approves, by her name in whatever form.
pub async fn a_recipient_approves(scene: &Scene) {
    let why = "recipients of the link cannot approve the request";
    for address in ["carol@example.com", "carol+links@example.com"] {
        let grant = scene.waits(to(scene, address)).await;
        let decision = scene.decide("carol", &grant, "Approve").await;
        scene.is_ignored(&grant, &decision, why).await;
        let decision = approval_in_other_case(scene, &grant).await;
        scene.is_ignored(&grant, &decision, why).await;
    }
    let other_case = to(scene, "Carol@example.com");
    refused(scene.create("alice", other_case).await, "spec.recipients");
    let twin = scene.waits(to(scene, "erin@example.com")).await;
    approval_in_other_case(scene, &twin).await;
    let counts = |g: &AccessGrant| {
        let status = g.status.as_ref();
        status.is_some_and(|s| s.decisions.iter().any(|d| d.user == CAROL_IN_OTHER_CASE))
    };
    let twin = scene.world.until(&twin, counts).await;
    scene.is_lent(&twin).await;
}

/// A request of alice's with the link for this address.
fn to(scene: &Scene, address: &str) -> Value {
    let mut request = scene.request_of("alice");
    request["spec"]["recipients"] = json!([address]);
    request
}

/// How another way to sign in may write carol's name.
const CAROL_IN_OTHER_CASE: &str = "Carol@Example.com";

async fn approval_in_other_case(scene: &Scene, grant: &AccessGrant) -> Value {
    let mut decision = scene.decision_of("carol", grant, "Approve");
    if !scene.stamped {
        decision["spec"]["approver"]["username"] = json!(CAROL_IN_OTHER_CASE);
    }
    let groups = vec!["security".into()];
    let carol = scene.world.impersonating(CAROL_IN_OTHER_CASE, groups);
    create(carol.await, decision).await.expect("decided")
}

/// A denial stands despite later approvals, and nobody can remove it.
pub async fn after_a_denial(scene: &Scene) {
    let shares = scene.shares().await;
    let grant = scene.waiting().await;
    let denial = scene.decide("carol", &grant, "Deny").await;
    let denial: AccessDecision = serde_json::from_value(denial).expect("a decision");
    for who in ["alice", "carol", "admin"] {
        refused(
            scene.delete(who, &denial).await,
            "keyloan-records: only Keyloan's operator can delete decisions and records",
        );
    }
    let denied = |g: &AccessGrant| condition(g, STALLED).is_some_and(|c| c.reason == "Denied");
    let grant = scene.world.until(&grant, denied).await;
    for who in ["bob", "carol", "dave"] {
        let late = scene.decide(who, &grant, "Approve").await;
        scene
            .is_ignored(&grant, &late, "the decision came too late")
            .await;
    }
    let twin = scene.waiting().await;
    scene.is_lent(&twin).await;
    assert_eq!(scene.shares().await, shares + 1, "only the twin was lent");
    let still = scene.world.until(&grant, denied).await;
    assert_eq!(still.status.and_then(|s| s.phase), Some(Phase::Denied));
}

/// Approvals that come when the request has lapsed. The API server dates them by its own clock, so it is the request that is made
/// older: in etcd, by more than its timeout.
pub async fn after_the_timeout(scene: &Scene) {
    let twin = scene.waiting().await;
    scene.is_lent(&twin).await;
    let shares = scene.shares().await;
    let grant = scene.waiting().await;
    let created = grant.metadata.creation_timestamp.as_ref().expect("one").0;
    let yesterday = Time(created - SignedDuration::from_hours(25));
    let (kind, name) = ("keyloan.dev/accessgrants", grant.name_any());
    let cluster = &scene.world.cluster;
    let made_older = cluster.set_creation_time(kind, TEAM, &name, &yesterday);
    made_older.await.expect("changed in etcd");
    let lapsed = |g: &AccessGrant| condition(g, STALLED).is_some_and(|c| c.reason == "Lapsed");
    let grant = scene.world.until(&grant, lapsed).await;
    for who in ["bob", "carol", "dave"] {
        let late = scene.decide(who, &grant, "Approve").await;
        scene
            .is_ignored(&grant, &late, "the decision came too late")
            .await;
    }
    let still = scene.world.until(&grant, lapsed).await;
    assert_eq!(still.status.and_then(|s| s.phase), Some(Phase::Lapsed));
    assert_eq!(scene.shares().await, shares);
}
