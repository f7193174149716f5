//! A loan that is over is only history: what is left to do for its request follows from the request alone, as it did from the record.

use jiff::SignedDuration;
use keyloan::api::*;
use keyloan::plan::ended_loan::{RETENTION, history, is_settled};
use rstest::rstest;

use super::deciders::{bob, carol, dave, frank};
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

/// The decision that ended the loan was a Revoke, like one that ends a request.
#[test]
fn a_revoked_loan_whose_request_is_gone_is_not_taken_for_a_denied_request() {
    let mut world = World::lent();
    let revoke = world.decide(bob(), Decision::Revoke, 20);
    revoke.spec.may_revoke = Some(true);
    let mut world = shelved(&world.settled(20).settled(260));
    world.seen.gone = world.seen.grant.take();
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
    let history = |world: &mut World, now| history(world.record(), now).map(|of| of.until);
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

/// Bob, carol and dave have approved, and the loan is over.
fn over_on_approval() -> World {
    World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 2)
        .approved_by(dave(), 3)
        .settled(4)
        .settled(250)
        .settled(251)
}

fn is_settled_in(world: &World) -> bool {
    let grant = world.seen.grant.as_deref().expect("it is kept");
    is_settled(grant, &world.seen.decisions, at(300))
}

#[test]
fn a_request_is_settled_until_somebody_decides_on_it_again() {
    let mut world = over_on_approval();
    assert!(is_settled_in(&world), "its status tells of all three");
    let on_another = world.decide(frank(), Decision::Approve, 260);
    on_another.spec.grant_uid = "former".into();
    assert!(is_settled_in(&world), "that was another request");
    world.decide(frank(), Decision::Approve, 261);
    assert!(!is_settled_in(&world), "frank is to read that it was late");
    let told = world.settled(262);
    assert!(is_settled_in(&told));
}

/// A status shows no more than twenty of them, so the record would be read in every pass.
#[test]
fn a_request_on_which_more_people_decided_than_a_status_shows_is_settled() {
    let mut world = over_on_approval();
    for minute in 0..30 {
        world.decide(frank(), Decision::Approve, 252 + minute);
    }
    assert!(!is_settled_in(&world));
    assert!(is_settled_in(&world.settled(290)));
}

#[test]
fn a_request_that_is_stalled_for_another_reason_than_its_secret_is_settled() {
    let grant = over(260).seen.grant.expect("it is kept");
    let with = |type_: &str, reason: &str| {
        let mut grant = AccessGrant::clone(&grant);
        let status = grant.status.as_mut().expect("a status");
        status.conditions.retain(|c| c.type_ != type_);
        status.conditions.push(Condition {
            type_: type_.into(),
            ..ready("True", reason)
        });
        is_settled(&grant, &[], at(300))
    };
    assert!(!with(STALLED, "LinkSecretStays"), "the twin");
    assert!(with(STALLED, "TermsNotConfirmed"));
    assert!(with(ACTIVE, "LinkSecretStays"));
}
