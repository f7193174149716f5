//! Nobody uses up what is everybody's: 1Password's requests of the hour, as its simulated service counts them, and places in line.

use std::time::Duration;

use crate::world::{Ask, PLATFORM, TEAM, World, condition, needs_approval};
use keyloan::api::{
    ACCEPTED, ACTIVE, AccessFlow, AccessGrant, AccountPlan, FlowLimits, RENEW_ANNOTATION,
};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::json;

const SHARE: &str = "POST /api/v4/itemshare";

/// A Teams account may write a hundred times an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_and_twenty_requests_of_one_leave_another_their_first_link_and_renewal() {
    let world = World::with_plan("Teams").await;
    world
        .integration_with("prod", "lender", |spec| spec.plan = AccountPlan::Teams)
        .await;
    world
        .flow("oncall", |flow| {
            flow.limits = FlowLimits {
                active_per_requester: 1000,
                pending_per_requester: 1000,
            };
        })
        .await;
    let running = world
        .ask("alice", Ask::item("db password").lasting("4h"))
        .await;
    let running = world.until_active(&running).await;

    let mut mallorys = Vec::new();
    for _ in 0..120 {
        mallorys.push(world.ask("mallory", Ask::item("web console")).await);
    }
    let (mut lent, mut waiting) = (0, Vec::new());
    for grant in &mallorys {
        let settled = world
            .until(grant, |g| is_active(g) || waits_for_her_share(g))
            .await;
        match is_active(&settled) {
            true => lent += 1,
            false => waiting.push(settled),
        }
    }
    assert_eq!(lent, 25, "a quarter of the hour's hundred writes");
    let message = &condition(&waiting[0], ACTIVE).expect("said").message;
    assert!(message.contains("limits.requesterShare"), "{message}");

    let first = world.ask("alice", Ask::item("web console")).await;
    world.until_active(&first).await;
    world.advance(Duration::from_secs(55 * 60)).await;
    let wish = world.now().to_string();
    world.annotate(&running, RENEW_ANNOTATION, &wish).await;
    world.until(&running, has_its_second_link).await;

    // Nothing but the time wakes hers: as many as there is room for, whichever these are.
    world.advance(Duration::from_secs(6 * 60)).await;
    let active = waiting.iter().map(|g| Box::pin(world.until_active(g)));
    futures::future::select_all(active).await;
    let requests = world.control.requests().await.expect("a log");
    let entries = requests.entries.iter();
    let refused = entries.filter(|r| r.status == Some(429)).count();
    assert_eq!(refused, 0, "1Password never had to say stop");
    assert!(requests.by_route[SHARE] >= 28, "{:?}", requests.by_route);
}

fn is_active(grant: &AccessGrant) -> bool {
    condition(grant, ACTIVE).is_some_and(|c| c.status == "True")
}

fn waits_for_her_share(grant: &AccessGrant) -> bool {
    condition(grant, ACTIVE).is_some_and(|c| c.reason == "RequesterShareUsed")
}

fn has_its_second_link(grant: &AccessGrant) -> bool {
    let link = grant.status.as_ref().and_then(|s| s.link.as_ref());
    link.is_some_and(|link| link.sequence == 2)
}

/// What the example flow lends: it says nothing of limits.
#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_says_nothing_of_limits_has_the_usual_ones() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let kind = ApiResource::erase::<AccessFlow>(&());
    let flows: Api<DynamicObject> = Api::namespaced_with(world.admin.clone(), PLATFORM, &kind);
    let none = Patch::Merge(json!({ "spec": { "limits": null } }));
    let stored = flows.patch("oncall", &PatchParams::default(), &none).await;
    let stored = &stored.expect("patched").data["spec"]["limits"];
    assert_eq!(
        *stored,
        json!({ "activePerRequester": 5, "pendingPerRequester": 10 })
    );
    let mut loans = Vec::new();
    for _ in 0..5 {
        loans.push(world.ask("alice", Ask::item("db password")).await);
    }
    for loan in &loans {
        world.until_active(loan).await;
    }
    let sixth = world.ask("alice", Ask::item("db password")).await;
    world.until(&sixth, has(ACCEPTED, "LimitReached")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_five_times_as_many_as_may_wait_a_request_fails_at_once_and_is_soon_deleted() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("reviewed", |flow| {
            needs_approval("AllOf", &[("owner", "platform-owners", 1)])(flow);
            flow.limits.pending_per_requester = 1;
        })
        .await;
    let first = world.ask("alice", Ask::item("db password")).await;
    world
        .until(&first, has("Approved", "WaitingForApproval"))
        .await;
    let mut in_line = Vec::new();
    for _ in 0..5 {
        let waits = world.ask("alice", Ask::item("web console")).await;
        world.until(&waits, has(ACCEPTED, "LimitReached")).await;
        until_another_second(&waits).await;
        in_line.push(waits);
    }
    let one_too_many = world.ask("alice", Ask::item("web console")).await;
    world
        .until(&one_too_many, has(ACCEPTED, "TooManyRequests"))
        .await;
    // Somebody else is not concerned.
    let mallorys = world.ask("mallory", Ask::item("web console")).await;
    world
        .until(&mallorys, has("Approved", "WaitingForApproval"))
        .await;

    world.advance(Duration::from_secs(3_601)).await;
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), TEAM);
    let name = one_too_many.metadata.name.as_deref().expect("one");
    let gone = await_condition(grants, name, |seen: Option<&AccessGrant>| seen.is_none());
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .expect("in time")
        .expect("watched");
    // Those in line still wait, and one of them gets the place that comes free.
    world.delete("alice", &first).await;
    world
        .until(&in_line[0], has("Approved", "WaitingForApproval"))
        .await;
    for waits in &in_line[1..] {
        world.until(waits, has(ACCEPTED, "LimitReached")).await;
    }
}

/// The API server notes when a request is made by whole seconds, and those of one second have no order that a test may count on.
#[allow(
    clippy::disallowed_methods,
    reason = "the API server's clock is this machine's"
)]
async fn until_another_second(made: &AccessGrant) {
    let made = made.metadata.creation_timestamp.as_ref().expect("made").0;
    let next = made + jiff::SignedDuration::from_secs(1);
    let left = next.duration_since(jiff::Timestamp::now());
    tokio::time::sleep(left.try_into().unwrap_or_default()).await;
}

fn has(type_: &'static str, reason: &'static str) -> impl Fn(&AccessGrant) -> bool {
    move |grant| condition(grant, type_).is_some_and(|c| c.reason == reason)
}
