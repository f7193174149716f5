//! Loans in trouble, on real parts: 1Password refuses, throttles, hangs or gives no answer, and objects are lost or planted.

use std::time::Duration;

use crate::world::{Ask, PLATFORM, Say, World, condition, simulator};
use keyloan::api::{
    ACCEPTED, ACTIVE, AccessFlowSpec, AccessRecord, EndReason, LinkOutcome, RENEW_ANNOTATION,
};
use keyloan::onepassword::AllowedOrigins;
use keyloan::operator::Election;
use keyloan_cluster::OPERATOR_NAMESPACE;
use keyloan_simulator::{Fault, FaultKind};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

const SHARE: &str = "POST /api/v4/itemshare";
const ITEM: &str = "GET /api/v1/vault/{vault}/item/{item}";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_former_role_left_behind_is_made_anew_and_goes_with_the_loan() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world
        .ask("alice", Ask::item("db password").lasting("3h"))
        .await;
    let grant = world.until_active(&grant).await;
    world.orphan_link(&grant).await;
    world.lose_link(&grant).await;
    world.advance(Duration::from_secs(120)).await;
    world
        .annotate(&grant, RENEW_ANNOTATION, &world.now().to_string())
        .await;
    let renewed = world
        .until(&grant, |g| {
            let link = g.status.as_ref().and_then(|s| s.link.as_ref());
            link.is_some_and(|l| l.sequence == 2)
        })
        .await;
    world
        .read_link("alice", &renewed)
        .await
        .expect("alice may read her link");
    world.delete("alice", &grant).await;
    world.until_link_gone(&grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_whose_record_is_deleted_loses_its_secret_and_says_until_when_its_link_may_open() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    let link = grant.status.clone().and_then(|s| s.link).expect("a link");
    world.delete_record(&grant).await;
    let over = world
        .until(&grant, |g| {
            condition(g, ACCEPTED).is_some_and(|c| c.reason == "RecordMissing")
        })
        .await;
    world.until_link_gone(&grant).await;
    assert_eq!(
        over.status.and_then(|s| s.residual_until),
        Some(link.expires_at)
    );
    assert_eq!(world.control.shares().await.expect("shares").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_lost_on_the_way_is_counted_and_another_one_is_issued() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    world
        .control
        .fault(Fault::once(SHARE, FaultKind::ResetAfterEffect))
        .await
        .expect("ordered");
    let grant = world.ask("alice", Ask::item("db password")).await;
    world
        .until_record(&grant, |r| {
            r.spec
                .links
                .iter()
                .any(|l| l.outcome == Some(LinkOutcome::Lost))
        })
        .await;
    world.advance(Duration::from_secs(30)).await;
    let grant = world.until_active(&grant).await;
    assert_eq!(
        grant
            .status
            .as_ref()
            .and_then(|s| s.link.as_ref())
            .map(|l| l.sequence),
        Some(2)
    );
    assert_eq!(
        world.control.shares().await.expect("shares").len(),
        2,
        "the lost one exists as well"
    );
    world.delete("alice", &grant).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    let latest = record.spec.links.iter().map(|l| l.latest_end.0).min();
    assert!(
        record.spec.residual_until.map(|t| t.0) >= latest,
        "the lost link counts as one that may open"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_link_leaves_no_residual_and_says_why() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    world
        .control
        .fault(Fault::once(SHARE, FaultKind::status(403)))
        .await
        .expect("ordered");
    let grant = world.ask("alice", Ask::item("db password")).await;
    let waiting = world
        .until(&grant, |g| {
            condition(g, ACTIVE).is_some_and(|c| c.reason == "OnePasswordForbidden")
        })
        .await;
    assert!(condition(&waiting, "Stalled").is_some());
    let record = world.until_record(&grant, |_| true).await;
    assert_eq!(record.spec.links[0].outcome, Some(LinkOutcome::Refused));
    world.delete("alice", &grant).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.residual_until, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_share_is_repeated_when_1password_says_so_and_not_before_by_another_operator() {
    let mut world = World::without_operator().await;
    world.settings.election = Some(Election {
        namespace: OPERATOR_NAMESPACE.into(),
        lease: "keyloan".into(),
        identity: "one".into(),
    });
    world.restart_operator().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    world
        .control
        .fault(Fault::once(SHARE, FaultKind::rate_limited(Some(120))))
        .await
        .expect("ordered");
    let grant = world.ask("alice", Ask::item("db password")).await;
    world
        .until(&grant, |g| {
            condition(g, ACTIVE).is_some_and(|c| c.reason == "OnePasswordThrottled")
        })
        .await;

    world.stop_operator().await;
    world.control.reset_requests().await.expect("forgotten");
    world.restart_operator().await;
    let other = world.ask("alice", Ask::item("web console")).await;
    let seen = world
        .until(&other, |g| condition(g, ACCEPTED).is_some())
        .await;
    let accepted = condition(&seen, ACCEPTED).expect("it is there");
    assert_eq!(accepted.reason, "OnePasswordThrottled");
    let requests = world.control.requests().await.expect("the log");
    assert_eq!(requests.total, 0, "{:?}", requests.by_route);

    world.advance(Duration::from_secs(121)).await;
    world.until_active(&grant).await;
    world.until_active(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_dies_in_the_middle_of_a_share_counts_the_link_as_lost() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    world
        .control
        .fault(Fault::once(SHARE, FaultKind::HangAfterEffect))
        .await
        .expect("ordered");
    let grant = world.ask("alice", Ask::item("db password")).await;
    world
        .until_record(&grant, |r| r.spec.links.iter().any(|l| l.outcome.is_none()))
        .await;
    world.until_requested(SHARE, 1).await;
    world.restart_operator().await;
    let grant = world.until_active(&grant).await;
    let record = world.until_record(&grant, |_| true).await;
    let outcomes: Vec<_> = record.spec.links.iter().map(|l| l.outcome).collect();
    assert_eq!(
        outcomes,
        [Some(LinkOutcome::Lost), Some(LinkOutcome::Issued)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn loans_end_while_their_renewals_wait_for_a_1password_that_hangs() {
    let mut world = with_patience().await;
    world.restart_operator().await;
    world.integration("prod", "lender").await;
    let more = |flow: &mut AccessFlowSpec| flow.limits.active_per_requester = 10;
    world.flow("oncall", more).await;
    let mut loans = vec![];
    for duration in ["6h", "6h", "2h", "6h", "6h", "6h"] {
        let grant = world
            .ask("alice", Ask::item("db password").lasting(duration))
            .await;
        loans.push(world.until_active(&grant).await);
    }
    world.advance(Duration::from_secs(55 * 60)).await;
    let hang = Fault {
        times: u32::MAX,
        ..Fault::once(ITEM, FaultKind::Hang)
    };
    world.control.fault(hang).await.expect("ordered");
    world.control.reset_requests().await.expect("reset");
    let now = world.now().to_string();
    world.annotate(&loans[0], RENEW_ANNOTATION, &now).await;
    world.until_requested(ITEM, 1).await;
    // The next ones have a turn and wait for that call; the last ones wait for a turn.
    for waiting in &loans[1..] {
        world.annotate(waiting, RENEW_ANNOTATION, &now).await;
    }
    // The watch tells of this one after those, so their passes have begun once it has a status.
    let after_them = world.ask("alice", Ask::item("any").of("nowhere")).await;
    world
        .until(&after_them, |g| condition(g, ACCEPTED).is_some())
        .await;

    for revoked in [&loans[1], &loans[4]] {
        world.decide("alice", revoked, Say::revoke(revoked)).await;
    }
    world.delete("alice", &loans[5]).await;
    let ended = |at: usize, reason| {
        let (world, grant) = (&world, &loans[at]);
        async move {
            world.until_link_gone(grant).await;
            let record = world.until_record(grant, |r| r.spec.end.is_some()).await;
            assert_eq!(record.spec.end.map(|e| e.reason), Some(reason));
            assert_eq!(record.spec.links.len(), 1, "no intent, no other link");
        }
    };
    ended(1, EndReason::Revoked).await;
    ended(4, EndReason::Revoked).await;
    ended(5, EndReason::Deleted).await;
    world.advance(Duration::from_secs(66 * 60)).await;
    ended(2, EndReason::Expired).await;
    let log = world.control.requests().await.expect("log");
    assert_eq!(log.count(ITEM), 1, "the first call was not given up yet");

    // The loan of the very call that hangs does not wait for it either.
    world.delete("alice", &loans[0]).await;
    ended(0, EndReason::Deleted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_by_a_healthy_integration_does_not_wait_for_those_of_one_that_hangs() {
    let mut world = with_patience().await;
    let another_service = simulator();
    let healthy = another_service.control();
    let services = [&world.control, &healthy];
    let origins = services.map(|service| service.origin().parse().expect("an origin"));
    world.settings.allowed_origins = AllowedOrigins::with(origins);
    world.restart_operator().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let token = healthy.token("lender").await.expect("a token");
    world.token("healthy", &token).await;
    world.create_integration("healthy").await;
    world.until_integration("healthy", "True").await;
    world
        .flow("of-healthy", |flow| flow.integration.0 = "healthy".into())
        .await;
    let hang = Fault {
        times: u32::MAX,
        ..Fault::once(SHARE, FaultKind::Hang)
    };
    world.control.fault(hang).await.expect("ordered");
    // More than have a turn at a time.
    for _ in 0..6 {
        world.ask("alice", Ask::item("db password")).await;
    }
    world.until_requested(SHARE, 1).await;
    // The watch tells of this one after those, so their passes have begun once it has a status.
    let after_them = world.ask("alice", Ask::item("any").of("nowhere")).await;
    world
        .until(&after_them, |g| condition(g, ACCEPTED).is_some())
        .await;

    let grant = world
        .ask("alice", Ask::item("db password").of("healthy"))
        .await;
    let grant = world.until_active(&grant).await;
    assert_eq!(healthy.shares().await.expect("shares").len(), 1);
    // The others hang still: no share was made, and none was given up.
    assert_eq!(world.control.shares().await.expect("shares").len(), 0);
    let records: Api<AccessRecord> = Api::namespaced(world.admin.clone(), PLATFORM);
    let records = records.list(&ListParams::default()).await.expect("records");
    let others = records
        .items
        .iter()
        .filter(|r| Some(r.name_any()) != grant.uid());
    let outcomes: Vec<_> = others
        .flat_map(|r| r.spec.links.iter().map(|l| l.outcome))
        .collect();
    assert!(
        !outcomes.is_empty() && outcomes.iter().all(Option::is_none),
        "{outcomes:?}"
    );
}

/// A world whose operator gives up no call for longer than a test may take.
async fn with_patience() -> World {
    let mut world = World::without_operator().await;
    let patience = Duration::from_secs(600);
    world.settings.core_options.call_timeout = patience;
    world.settings.core_options.exchange_timeout = patience;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_of_the_links_name_is_left_alone() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    // The flow comes only after the Secret of the name that the link will have.
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.plant_secret(&grant, "planted by somebody").await;
    world.flow("oncall", |_| {}).await;
    let stalled = world
        .until(&grant, |g| {
            condition(g, "Stalled").is_some_and(|c| c.reason == "LinkSecretTaken")
        })
        .await;
    assert_eq!(stalled.status.and_then(|s| s.link), None);
    assert_eq!(world.control.shares().await.expect("shares").len(), 0);
    assert_eq!(
        world.read_link("admin", &grant).await.expect("still there")["url"],
        "planted by somebody"
    );
}
