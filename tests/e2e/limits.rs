//! Limits of a flow: nobody gets more than it allows, also where the API server's answers get lost, and a place that is free is taken.

use std::time::Duration;

use crate::world::{Ask, PLATFORM, World, condition, needs_approval};
use keyloan::api::{
    ACCEPTED, AccessFlowSpec, AccessGrant, AccessRecord, LinkOutcome, TitlePattern,
};
use kube::{Api, ResourceExt};

fn one_each(flow: &mut AccessFlowSpec) {
    flow.limits.active_per_requester = 1;
}

fn has_no_place(grant: &AccessGrant) -> bool {
    condition(grant, ACCEPTED).is_some_and(|c| c.reason == "LimitReached")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_creation_was_not_answered_takes_its_place() {
    let mut world = World::without_operator().await;
    let wire = world.wire().await;
    world.restart_operator().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", one_each).await;
    wire.withhold("accessrecords");
    wire.lose_an_answer();
    let one = world.ask("alice", Ask::item("db password")).await;
    let other = world.ask("alice", Ask::item("web console")).await;
    let (lent, waits) = tokio::select! {
        lent = world.until_active(&one) => (lent, other),
        lent = world.until_active(&other) => (lent, one),
    };
    assert!(wire.has_lost_all());
    world.until(&waits, has_no_place).await;
    let records: Api<AccessRecord> = Api::namespaced(world.admin.clone(), PLATFORM);
    let there = records.list(&Default::default()).await.expect("readable");
    assert_eq!(there.items.len(), 1, "one place, one loan");
    // The intent stands though the answer got lost: it is the link's.
    let outcomes: Vec<_> = there.items[0]
        .spec
        .links
        .iter()
        .map(|l| l.outcome)
        .collect();
    assert_eq!(outcomes, [Some(LinkOutcome::Issued)]);

    wire.tell_all();
    world.delete("alice", &lent).await;
    let ended = world.until_record(&lent, |r| r.spec.end.is_some()).await;
    until_its_links_are_over(&world, &ended).await;
    world.until_active(&waits).await;
}

/// Who deletes a request and makes it again under its name would otherwise have two links at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_loan_that_was_deleted_has_its_place_until_its_link_is_over() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", one_each).await;
    let first = ask_by_name(&world).await;
    world.until_active(&first).await;
    world.delete("alice", &first).await;
    let ended = world.until_record(&first, |r| r.spec.end.is_some()).await;

    let again = ask_by_name(&world).await;
    assert_ne!(again.uid(), first.uid());
    let waits = world.until(&again, has_no_place).await;
    let until = ended.spec.residual_until.as_ref().expect("a link").0;
    let message = &condition(&waits, ACCEPTED).expect("said").message;
    let says_when = format!("the next of them ends by {until:.0}");
    assert!(message.contains(&says_when), "{message}");
    assert_eq!(world.control.shares().await.expect("shares").len(), 1);

    until_its_links_are_over(&world, &ended).await;
    world.until_active(&again).await;
}

/// Alice asks under a name that she chooses, the same each time.
async fn ask_by_name(world: &World) -> AccessGrant {
    let ask = Ask::item("db password").named("alice-db");
    world.ask("alice", ask).await
}

/// Lets so much time pass that no link of an ended loan opens any more.
async fn until_its_links_are_over(world: &World, ended: &AccessRecord) {
    let until = ended.spec.residual_until.as_ref().expect("a link").0;
    let left = until.duration_since(world.now());
    let left = Duration::try_from(left).expect("a time to come");
    world.advance(left + Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_deleted_while_it_waits_frees_its_place_at_once() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("reviewed", |flow| {
            needs_approval("AllOf", &[("owner", "platform-owners", 1)])(flow);
            flow.limits.pending_per_requester = 1;
        })
        .await;
    let first = world.ask("alice", Ask::item("db password")).await;
    world.until(&first, waits_for_people).await;
    let second = world.ask("alice", Ask::item("web console")).await;
    world.until(&second, has_no_place).await;
    // No time passes by the operator's clock: nothing but the deletion wakes the second one.
    world.delete("alice", &first).await;
    world.until(&second, waits_for_people).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_goes_by_another_flow_leaves_its_place_to_the_next_one() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    let one_at_a_time = |flow: &mut AccessFlowSpec| {
        needs_approval("AllOf", &[("owner", "platform-owners", 1)])(flow);
        flow.limits.pending_per_requester = 1;
    };
    world.flow("general", one_at_a_time).await;
    let first = world.ask("alice", Ask::item("db password")).await;
    world.until(&first, waits_for_people).await;
    let second = world.ask("alice", Ask::item("web console")).await;
    world.until(&second, has_no_place).await;
    world
        .flow("databases", |flow| {
            one_at_a_time(flow);
            flow.items.include[0].titles = vec![TitlePattern("db *".into())];
        })
        .await;
    world.until(&second, waits_for_people).await;
    let by = |flow: &'static str| {
        move |grant: &AccessGrant| {
            let terms = grant.status.as_ref().and_then(|s| s.terms.as_ref());
            terms.is_some_and(|terms| terms.flow.name == flow)
        }
    };
    world.until(&first, by("databases")).await;
    world.until(&second, by("general")).await;
}

fn waits_for_people(grant: &AccessGrant) -> bool {
    let status = grant.status.as_ref();
    status.is_some_and(|s| s.waiting_for.is_some())
}
