//! A loan that is over is only history: what is left to do for its request follows from the request alone, as it did from the record.

use jiff::SignedDuration;
use keyloan::api::*;
use keyloan::plan::ended_loan::{RETENTION, history_until, is_settled};
use rstest::rstest;

use super::world::*;

const DAY: i64 = 24 * 60;

/// A loan for four hours that is over, and whose status says so.
fn over(minute: i64) -> World {
    World::ended().settled(minute)
}

/// The same, where the record is known only as history.
fn shelved(world: &World) -> World {
    let mut seen = world.seen.clone();
    (seen.record, seen.history) = (None, true);
    World { seen }
}

#[rstest]
#[case::soon_after(300)]
#[case::days_later(6 * DAY)]
#[case::when_it_is_deleted(8 * DAY)]
#[case::kept_by_its_not_after(20 * DAY)]
fn what_follows_is_the_same_without_the_record(#[case] minute: i64) {
    let mut world = over(260);
    if minute == 20 * DAY {
        world = world.with(|w| w.grant().spec.not_after = Some(Time(at(30 * DAY))));
    }
    let grant = world.seen.grant.clone().expect("it is kept");
    assert!(is_settled(&grant, &world.seen.decisions, at(minute)));
    let (whole, shelved) = (world.plan_at(minute), shelved(&world).plan_at(minute));
    assert_eq!(shelved.effect, whole.effect);
    assert!(
        whole.effect.is_some() || shelved.wake == whole.wake,
        "{:?} {:?}",
        shelved.wake,
        whole.wake
    );
}

#[test]
fn a_request_that_is_gone_needs_nothing_of_history() {
    let mut world = shelved(&over(260));
    world.seen.grant = None;
    let plan = world.plan_at(300);
    assert_eq!((plan.effect, plan.status), (None, None));
}

/// What a status does not say yet has to be read from the record.
#[test]
fn a_request_is_settled_only_when_its_status_says_all() {
    let world = over(260);
    let grant = world.seen.grant.clone().expect("it is kept");
    let changed = |change: fn(&mut AccessGrantStatus)| {
        let mut grant = AccessGrant::clone(&grant);
        change(grant.status.as_mut().expect("a status"));
        is_settled(&grant, &[], at(300))
    };
    assert!(changed(|_| {}));
    assert!(!changed(|status| status.phase = Some(Phase::Active)));
    assert!(!changed(|status| status.phase = Some(Phase::Ending)));
    assert!(!changed(|status| status.ended_at = None));
    assert!(
        !changed(|status| {
            let mut stays = ready("True", "LinkSecretStays");
            stays.type_ = STALLED.into();
            status.conditions.push(stays);
        }),
        "its link is still there"
    );
    assert!(!changed(
        |status| status.residual_until = Some(Time(at(301)))
    ));
    assert!(changed(|status| status.residual_until = Some(Time(at(300)))));
}

#[test]
fn a_record_is_history_from_when_no_link_of_it_may_open_until_its_retention_is_over() {
    let mut world = over(260);
    let ended = world.record().spec.end.clone().expect("ended").at.0;
    let until = ended.saturating_add(RETENTION).expect("in range");
    let history = |world: &mut World, now| history_until(world.record(), now);
    let second = SignedDuration::from_secs(1);
    assert_eq!(history(&mut world, ended), Some(until));
    assert_eq!(history(&mut world, ended - second), None);
    assert_eq!(history(&mut world, until - second), Some(until));
    assert_eq!(history(&mut world, until), None, "it is to be deleted");

    let residual = ended + SignedDuration::from_hours(1);
    world.record().spec.residual_until = Some(Time(residual));
    assert_eq!(history(&mut world, ended), None, "a link may open");
    assert!(history(&mut world, residual).is_some());

    world.record().spec.end = None;
    assert_eq!(history(&mut world, residual), None, "it runs");
    let mut denied = over(260);
    denied.record().spec.outcome = Some(RequestOutcome::Denied);
    assert_eq!(
        history(&mut denied, ended),
        None,
        "approvers are told of it"
    );
}
