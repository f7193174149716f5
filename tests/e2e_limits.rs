//! Limits of a flow: nobody gets more than it allows, also where the API server's answers get lost, and a place that is free is taken.

mod world;

use keyloan::api::{ACCEPTED, AccessGrant, AccessRecord, FlowLimits, LinkOutcome};
use kube::{Api, ResourceExt};
use world::{Ask, PLATFORM, World, condition, needs_approval};

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_creation_was_not_answered_takes_its_place() {
    let mut world = World::without_operator().await;
    let wire = world.wire().await;
    world.restart_operator().await;
    world.integration("prod", "lender").await;
    world
        .flow("oncall", |flow| {
            flow.limits = Some(FlowLimits {
                active_per_requester: Some(1),
                pending_per_requester: None,
            });
        })
        .await;
    wire.tell_of_records(false);
    wire.lose_an_answer();
    let one = world.ask("alice", Ask::item("db password")).await;
    let other = world.ask("alice", Ask::item("web console")).await;
    let (lent, waits) = tokio::select! {
        lent = world.until_active(&one) => (lent, other),
        lent = world.until_active(&other) => (lent, one),
    };
    assert!(wire.has_lost_all());
    world
        .until(&waits, |g| {
            condition(g, ACCEPTED).is_some_and(|c| c.reason == "LimitReached")
        })
        .await;
    let records: Api<AccessRecord> = Api::namespaced(world.admin.clone(), PLATFORM);
    let there = records.list(&Default::default()).await.expect("readable");
    assert_eq!(there.items.len(), 1, "one place, one loan");
    // The intent of the answer that got lost counts as a link that may open.
    let outcomes: Vec<_> = there.items[0]
        .spec
        .links
        .iter()
        .map(|l| l.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [Some(LinkOutcome::Lost), Some(LinkOutcome::Issued)]
    );

    wire.tell_of_records(true);
    world.delete("alice", &lent).await;
    world.until_active(&waits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_deleted_while_it_waits_frees_its_place_at_once() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("reviewed", |flow| {
            needs_approval("AllOf", &[("owner", "platform-owners", 1)])(flow);
            flow.limits = Some(FlowLimits {
                active_per_requester: None,
                pending_per_requester: Some(1),
            });
        })
        .await;
    let waits_for_people = |grant: &AccessGrant| {
        let status = grant.status.as_ref();
        status.is_some_and(|s| s.waiting_for.is_some())
    };
    let first = world.ask("alice", Ask::item("db password")).await;
    world.until(&first, waits_for_people).await;
    let second = ask_after(&world, &first).await;
    world
        .until(&second, |g| {
            condition(g, ACCEPTED).is_some_and(|c| c.reason == "LimitReached")
        })
        .await;
    // No time passes by the operator's clock: nothing but the deletion wakes the second one.
    world.delete("alice", &first).await;
    world.until(&second, waits_for_people).await;
}

/// Another request by alice, which is the later one also for the operator: of two in one second, the uids decide.
async fn ask_after(world: &World, first: &AccessGrant) -> AccessGrant {
    let order = |grant: &AccessGrant| {
        let created = grant.creation_timestamp().expect("a time");
        (created.0, grant.uid())
    };
    loop {
        let asked = world.ask("alice", Ask::item("web console")).await;
        if order(&asked) > order(first) {
            return asked;
        }
        world.delete("alice", &asked).await;
    }
}
