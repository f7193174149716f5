//! Loans while the API server is slow, overloaded, failing or silent: nobody waits in vain, no link is lost or made twice, and each end
//! is an end.

use std::time::Duration;

use crate::world::{Ask, Say, Trouble, Wire, World, outcomes};
use axum::http::Method;
use keyloan::api::{AccessGrant, AccessRecord, EndReason, LinkOutcome, RENEW_ANNOTATION};
use keyloan_simulator::{Fault, FaultKind};

const SHARE: &str = "POST /api/v4/itemshare";

const TROUBLES: [Trouble; 5] = [
    Trouble::Slow(Duration::from_millis(300)),
    Trouble::TooManyRequests,
    Trouble::InternalError,
    Trouble::NoAnswer,
    Trouble::Conflict,
];

/// A world whose operator reaches the API server by a wire, and may lend by then.
async fn wired() -> (World, Wire) {
    let mut world = World::without_operator().await;
    let wire = world.wire().await;
    world.restart_operator().await;
    world.integration("prod", "lender").await;
    let longer = |flow: &mut keyloan::api::AccessFlowSpec| {
        flow.grant.max_duration.0 = "4h".into();
        flow.limits.active_per_requester = 100;
    };
    world.flow("oncall", longer).await;
    (world, wire)
}

async fn shares(world: &World) -> usize {
    world.control.shares().await.expect("shares").len()
}

/// Loans that end in each way, one of them after a second link; so many links are made for them.
async fn lend_and_end(world: &World) -> usize {
    let ask = |item| world.ask("alice", Ask::item(item).lasting("3h"));
    let mut grants = Vec::new();
    for grant in [
        ask("db password").await,
        ask("web console").await,
        ask("db password").await,
    ] {
        let grant = world.until_active(&grant).await;
        world.opens_for("alice", &grant).await;
        grants.push(grant);
    }
    let [revoked, deleted, expired] = &grants[..] else {
        panic!("three")
    };

    world.advance(Duration::from_secs(61 * 60)).await;
    let now = world.now().to_string();
    world.annotate(expired, RENEW_ANNOTATION, &now).await;
    let twice = |record: &AccessRecord| outcomes(record) == [Some(LinkOutcome::Issued); 2];
    world.until_record(expired, twice).await;
    world.opens_for("alice", expired).await;

    world.decide("alice", revoked, Say::revoke(revoked)).await;
    world.delete("alice", deleted).await;
    ends(world, revoked, EndReason::Revoked, 1).await;
    ends(world, deleted, EndReason::Deleted, 1).await;
    world.advance(Duration::from_secs(4 * 60 * 60)).await;
    ends(world, expired, EndReason::Expired, 2).await;
    4
}

async fn ends(world: &World, grant: &AccessGrant, why: EndReason, links: usize) {
    world.until_link_gone(grant).await;
    let record = world.until_record(grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.as_ref().map(|end| end.reason), Some(why));
    assert_eq!(outcomes(&record), vec![Some(LinkOutcome::Issued); links]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ails_the_api_server_loans_go_on_and_no_link_is_lost_or_made_twice() {
    let (world, wire) = wired().await;
    let mut made = 0;
    for trouble in TROUBLES {
        tracing::info!(?trouble, "from now on");
        wire.trouble(Some(trouble));
        made += lend_and_end(&world).await;
        assert!(wire.in_trouble() > 3, "{trouble:?} was met with");
        assert_eq!(shares(&world).await, made, "{trouble:?}");
    }
}

/// As with each restart of a replica of the API server, and with each of its time-outs.
#[tokio::test(flavor = "multi_thread")]
async fn loans_go_on_when_watches_are_cut_off_again_and_again() {
    let (world, wire) = wired().await;
    let cuts = async {
        loop {
            wire.cut_watches();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let made = tokio::select! {
        made = lend_and_end(&world) => made,
        () = cuts => unreachable!("it goes on"),
    };
    assert_eq!(shares(&world).await, made);
}

/// A link that has been made is held while the API server says nothing, and handed over when it does: it is the only one.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_made_in_a_silence_is_handed_over_after_it() {
    let (world, wire) = wired().await;
    let slow = FaultKind::delay(Duration::from_secs(2));
    let slow = world.control.fault(Fault::once(SHARE, slow));
    slow.await.expect("ordered");
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.until_requested(SHARE, 1).await;
    wire.be_silent(true);
    // Whether the intent still stands; then, after that call's time, the same again.
    wire.until_unheard(Method::GET, "accessrecords", 2).await;
    wire.be_silent(false);
    let grant = world.until_active(&grant).await;
    world.opens_for("alice", &grant).await;
    let record = world.until_record(&grant, |_| true).await;
    assert_eq!(outcomes(&record), [Some(LinkOutcome::Issued)]);
    assert_eq!(shares(&world).await, 1);
}

/// What is to end in a silence ends after it, and what begins in it begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_loan_that_is_over_in_a_silence_ends_after_it() {
    let (world, wire) = wired().await;
    let grant = world
        .ask("alice", Ask::item("db password").lasting("1h"))
        .await;
    let grant = world.until_active(&grant).await;
    wire.be_silent(true);
    let asked = world.ask("alice", Ask::item("web console")).await;
    world.advance(Duration::from_secs(2 * 60 * 60)).await;
    wire.until_unheard(Method::PATCH, "accessrecords", 1).await;
    wire.be_silent(false);
    ends(&world, &grant, EndReason::Expired, 1).await;
    let asked = world.until_active(&asked).await;
    world.opens_for("alice", &asked).await;
}
