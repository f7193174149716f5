//! Limits of a flow where the API server's answers get lost: nobody gets more than the flow allows.

mod world;

use keyloan::api::{ACCEPTED, AccessRecord, FlowLimits, LinkOutcome};
use kube::Api;
use world::{Ask, PLATFORM, World, condition};

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
