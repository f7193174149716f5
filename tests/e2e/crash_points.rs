//! Every step of issuing and ending can be the last one for a while: wherever it stops, the loan
//! recovers, and no link is forgotten.
//!
//! A step is made to fail by taking away the right that it needs, which the API server sees at
//! once.

use std::time::Duration;

use crate::world::{Ask, LINKS, PLATFORM, Say, World, condition};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{
    ACTIVE, AccessGrant, AccessRecord, AccessRecordSpec, ENDED, EndReason, LinkOutcome,
    ObjectIdentity, STALLED, link_name,
};
use keyloan_simulator::{Fault, FaultKind};
use kube::{Api, ResourceExt};
use rstest::rstest;

const SHARE: &str = "POST /api/v4/itemshare";

/// Where issuing stops.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Role,
    RoleBinding,
    Place,
    Record,
    Secret,
    Close,
}

impl Stop {
    /// Has the step fail: takes away the right that it needs. The real Secret is refused by a policy that lets one pass that is only tried.
    async fn happen(self, world: &mut World) {
        let (resource, verb) = match self {
            Self::Role => ("roles", "create"),
            Self::RoleBinding => ("rolebindings", "create"),
            Self::Place => ("secrets", "create"),
            Self::Record => ("accessrecords", "create"),
            Self::Secret => return world.echo_secrets().await,
            Self::Close => ("accessrecords", "patch"),
        };
        world.take_right(resource, verb).await;
    }

    async fn pass(self, world: &mut World) {
        match self {
            Self::Secret => world.stop_echoing_secrets().await,
            _ => world.give_rights_back().await,
        }
    }

    /// Waits until the step before has been done, or this one refused.
    async fn reached(self, world: &World, grant: &AccessGrant) {
        // If the right were back before the step is tried, there would be nothing to recover from.
        match self {
            Self::Role => world.until_refused_to_create("roles", LINKS).await,
            Self::RoleBinding => world.until_refused_to_create("rolebindings", LINKS).await,
            Self::Place => world.until_refused_to_create("secrets", LINKS).await,
            Self::Record => {
                world
                    .until_refused_to_create("accessrecords", PLATFORM)
                    .await
            }
            Self::Secret => world.until_requested(SHARE, 1).await,
            Self::Close => {
                let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), LINKS);
                world.until_there(&secrets, grant).await;
            }
        }
    }
}

#[rstest]
#[case(Stop::Role, &[LinkOutcome::Issued])]
#[case(Stop::RoleBinding, &[LinkOutcome::Issued])]
#[case(Stop::Place, &[LinkOutcome::Issued])]
#[case(Stop::Record, &[LinkOutcome::Issued])]
#[case(Stop::Secret, &[LinkOutcome::Lost, LinkOutcome::Issued])]
#[case(Stop::Close, &[LinkOutcome::Issued])]
#[tokio::test(flavor = "multi_thread")]
async fn issuing_that_stops_anywhere_comes_right(
    #[case] stop: Stop,
    #[case] outcomes: &[LinkOutcome],
    #[values(false, true)] restart: bool,
) {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    stop.happen(&mut world).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    stop.reached(&world, &grant).await;
    if restart {
        world.restart_operator().await;
    }
    stop.pass(&mut world).await;
    // The next try need not be waited for.
    world.advance(Duration::from_secs(60)).await;
    let grant = world.until_active(&grant).await;
    let record = world
        .until_record(&grant, |r| r.spec.links.iter().all(|l| l.outcome.is_some()))
        .await;
    let issued: Vec<_> = record.spec.links.iter().filter_map(|l| l.outcome).collect();
    let shares = world.control.shares().await.expect("shares").len();
    if let Stop::Role | Stop::RoleBinding | Stop::Place | Stop::Record = stop {
        assert_eq!(shares, 1, "none was made before there was a place for it");
    }
    // A step may have been tried more than once before the right came back, and time moved while it was: an intent that was too
    // old by then is closed as refused, without a share. What matters is that each share is on record.
    let made = issued
        .iter()
        .filter(|l| **l != LinkOutcome::Refused)
        .count();
    assert_eq!(made, shares, "every share is on record: {issued:?}");
    assert_eq!(issued.last(), outcomes.last());
    assert_eq!(issued.first(), outcomes.first());
    let link = world.read_link("alice", &grant).await.expect("readable");
    world
        .control
        .open(&link["url"], "alice@example.com")
        .await
        .expect("it opens");
}

/// A world in which 1Password takes its time to make a link, which has been asked for.
async fn while_the_link_is_made() -> (World, AccessGrant) {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let slow = FaultKind::delay(Duration::from_secs(10));
    let slow = world.control.fault(Fault::once(SHARE, slow));
    slow.await.expect("ordered");
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.until_requested(SHARE, 1).await;
    (world, grant)
}

#[rstest]
#[case::taken_back(EndReason::Revoked)]
#[case::deleted(EndReason::Deleted)]
#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_loan_that_ends_while_it_is_made_is_handed_to_nobody_and_counted(
    #[case] reason: EndReason,
) {
    let (world, grant) = while_the_link_is_made().await;
    match reason {
        EndReason::Deleted => world.delete("alice", &grant).await,
        _ => drop(world.decide("alice", &grant, Say::revoke(&grant)).await),
    }
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(reason));
    let outcomes: Vec<_> = record.spec.links.iter().map(|l| l.outcome).collect();
    assert_eq!(outcomes, [Some(LinkOutcome::Lost)]);
    let until = record.spec.links[0].latest_end.clone();
    assert_eq!(record.spec.residual_until.as_ref(), Some(&until));
    assert_eq!(world.control.shares().await.expect("shares").len(), 1);
    assert_eq!(times_written(&world, &grant).await, 0);
    if reason == EndReason::Revoked {
        let ending = world
            .until(&grant, |g| {
                condition(g, ENDED).is_some_and(|c| c.reason == "LinkMayStillOpen")
            })
            .await;
        assert_eq!(ending.status.and_then(|s| s.residual_until), Some(until));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_its_time_gives_no_link_and_counts_as_long_as_it_may_open() {
    let (world, grant) = while_the_link_is_made().await;
    // As where the machine sleeps: the time passes, and no time-out goes by.
    world.advance(Duration::from_secs(120)).await;
    let lost = |links: &[keyloan::api::LinkRecord]| {
        let first = links.first()?;
        (first.outcome == Some(LinkOutcome::Lost)).then(|| first.clone())
    };
    let record = world
        .until_record(&grant, |r| lost(&r.spec.links).is_some())
        .await;
    let link = lost(&record.spec.links).expect("lost");
    let opens = link.latest_end.0.duration_since(link.intent_at.0);
    assert!(opens >= SignedDuration::from_mins(62), "{opens}");
    let why = |g: &AccessGrant| {
        condition(g, ACTIVE).is_some_and(|c| c.reason == "OnePasswordUnavailable")
    };
    world.until(&grant, why).await;
    world.advance(Duration::from_secs(30)).await;
    let grant = world.until_active(&grant).await;
    let link = world.read_link("alice", &grant).await.expect("readable");
    assert_eq!(link["sequence"], "2");
    assert_eq!(times_written(&world, &grant).await, 1, "the second link's");
}

/// How often the Secret of a grant's link was ever written.
async fn times_written(world: &World, grant: &AccessGrant) -> usize {
    let name = link_name(&grant.uid().expect("one"));
    let key = format!("/registry/secrets/{LINKS}/{name}");
    let history = world.cluster.etcd_dump().await.expect("a dump");
    let written = |r: &&keyloan_cluster::Revision| r.key == key && r.value.is_some();
    history.iter().filter(written).count()
}

/// Where ending stops.
#[derive(Clone, Copy, Debug)]
enum EndStop {
    /// Before the Secret is deleted.
    Secret,
    /// Before the end is in the record.
    Record,
}

/// An operator that dies where an ending has stopped leaves it to the next one.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn ending_that_stops_anywhere_comes_right(
    #[values(EndReason::Revoked, EndReason::Expired, EndReason::Deleted)] reason: EndReason,
    #[values(EndStop::Secret, EndStop::Record)] stop: EndStop,
) {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let ask = Ask::item("db password").lasting("1h");
    let grant = world.ask("alice", ask).await;
    let grant = world.until_active(&grant).await;
    let is_whole = |r: &AccessRecord| r.spec.links[0].outcome.is_some();
    world.until_record(&grant, is_whole).await;
    let uid = grant.uid().expect("one");
    let (verb, resource, name) = match stop {
        EndStop::Secret => ("delete", "secrets", link_name(&uid)),
        EndStop::Record => ("patch", "accessrecords", uid),
    };
    world.take_right(resource, verb).await;
    if let EndStop::Secret = stop {
        // Were its Role deleted, the garbage collector would take the Secret.
        world.take_right("roles", "delete").await;
    }
    match reason {
        EndReason::Deleted => world.delete("alice", &grant).await,
        EndReason::Expired => world.advance(Duration::from_secs(3_601)).await,
        _ => drop(world.decide("alice", &grant, Say::revoke(&grant)).await),
    }
    world.until_refused(verb, resource, &name).await;
    world.crash_operator();
    world.give_rights_back().await;
    world.restart_operator().await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|end| end.reason), Some(reason));
    let outcomes: Vec<_> = record.spec.links.iter().map(|l| l.outcome).collect();
    assert_eq!(outcomes, [Some(LinkOutcome::Issued)]);
    world.until_link_gone(&grant).await;
    assert_eq!(world.control.shares().await.expect("shares").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_whose_secret_cannot_be_deleted_ends_nevertheless_and_says_what_is_left() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    world.take_right("secrets", "delete").await;
    // Were its Role deleted, the garbage collector would take the Secret.
    world.take_right("roles", "delete").await;
    world.decide("alice", &grant, Say::revoke(&grant)).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Revoked));
    let until = record.spec.links[0].expires_at.clone().expect("an end");
    assert_eq!(record.spec.residual_until.as_ref(), Some(&until));
    let ending = world
        .until(&grant, |g| {
            condition(g, STALLED).is_some_and(|c| c.reason == "LinkSecretStays")
        })
        .await;
    let ended = condition(&ending, ENDED).expect("said");
    assert_eq!(ended.reason, "LinkMayStillOpen");
    let secret = link_name(&grant.uid().expect("one"));
    for told in [&secret, "403 Forbidden", &until.0.to_string()] {
        assert!(ended.message.contains(told), "{told}: {}", ended.message);
    }
    world.give_rights_back().await;
    world.advance(Duration::from_secs(11 * 60)).await;
    world.until_link_gone(&grant).await;
    world
        .until(&grant, |g| {
            condition(g, STALLED).is_none()
                && condition(g, ENDED).is_some_and(|c| !c.message.contains(&secret))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_whose_secret_cannot_be_read_ends_nevertheless() {
    let mut world = World::without_operator().await;
    let wire = world.wire().await;
    world.restart_operator().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    // From now on the operator wants to read the Secret itself: it is not there as the record says.
    wire.hide_secrets();
    world.lose_link(&grant).await;
    world.decide("alice", &grant, Say::revoke(&grant)).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Revoked));
    world
        .until(&grant, |g| {
            condition(g, ENDED).is_some_and(|c| c.reason == "LinkMayStillOpen")
        })
        .await;
}

/// As where a replica takes over whose watch of requests lags behind that of records.
#[tokio::test(flavor = "multi_thread")]
async fn a_loan_is_not_ended_because_its_request_is_not_known_yet() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let known = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&known).await;
    let agreed = world.until_record(&known, |_| true).await.spec;

    let wire = world.wire().await;
    let before = world.discovered_at("prod").await;
    world.advance(Duration::from_secs(5)).await;
    world.restart_operator().await;
    world.until_discovered_after("prod", before).await;
    wire.withhold("accessgrants");
    let unknown = world.ask("alice", Ask::item("db password")).await;
    let (name, uid) = (unknown.name_any(), unknown.uid().expect("one"));
    let begun = AccessRecordSpec {
        grant: ObjectIdentity {
            name,
            uid: uid.clone(),
            ..agreed.grant.clone()
        },
        digest: keyloan::plan::digest::digest(&uid, &agreed.terms, None),
        links: Vec::new(),
        ..agreed
    };
    let records: Api<AccessRecord> = Api::namespaced(world.as_operator().await, PLATFORM);
    let begun = AccessRecord::new(&uid, begun);
    records
        .create(&Default::default(), &begun)
        .await
        .expect("made");
    let there = world.until_active(&unknown).await;
    assert!(world.read_link("alice", &there).await.is_ok());

    // One that is gone ends its loan at once.
    world.delete("alice", &there).await;
    wire.tell_all();
    let ended = world.until_record(&there, |r| r.spec.end.is_some()).await;
    assert_eq!(ended.spec.end.map(|e| e.reason), Some(EndReason::Deleted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_whose_secret_is_kept_by_a_finalizer_ends_nevertheless_and_says_so() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    world.keep_link(&grant, true).await;
    world.advance(Duration::from_secs(61 * 60)).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Expired));
    let told = world
        .until(&grant, |g| {
            condition(g, STALLED).is_some_and(|c| c.reason == "LinkSecretStays")
        })
        .await;
    let message = &condition(&told, ENDED).expect("said").message;
    assert!(message.contains("finalizer"), "{message}");
    world.keep_link(&grant, false).await;
    world.until_link_gone(&grant).await;
    world
        .until(&grant, |g| condition(g, STALLED).is_none())
        .await;
}
