//! An operator that may touch Secrets in some namespaces only: what it says elsewhere, and what becomes of loans when its rights go.

mod world;

use std::time::Duration;

use keyloan::api::{ACCEPTED, ENDED, EndReason, Phase, link_name};
use kube::ResourceExt;
use world::{Ask, PLATFORM, TEAM, World, condition};

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_out_of_reach_is_told_of_and_holds_nothing_up() {
    let mut world = World::without_operator().await;
    // One of them does not exist: whoever deletes a namespace must not stop lending in all the others.
    world.enrol(&[PLATFORM, TEAM, "deleted-since"]).await;
    world.restart_operator().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;

    let elsewhere = world
        .ask("alice", Ask::item("db password").from("team-b"))
        .await;
    let refused = world
        .until(&elsewhere, |g| condition(g, ACCEPTED).is_some())
        .await;
    let accepted = condition(&refused, ACCEPTED).expect("said");
    assert_eq!(accepted.reason, "NamespaceNotEnrolled");
    assert!(
        accepted.message.contains("--namespaces"),
        "{}",
        accepted.message
    );

    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    world.withdraw(TEAM).await;
    world.advance(Duration::from_secs(61 * 60)).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Expired));
    let ended = world
        .until(&grant, |g| {
            g.status.as_ref().and_then(|s| s.phase) == Some(Phase::Ended)
        })
        .await;
    let left = link_name(&grant.uid().expect("one"));
    let message = &condition(&ended, ENDED).expect("said").message;
    assert!(
        message.contains(&left),
        "the Secret is still there: {message}"
    );

    world.enrol(&[TEAM]).await;
    world.advance(Duration::from_secs(11 * 60)).await;
    world.until_link_gone(&grant).await;
}
