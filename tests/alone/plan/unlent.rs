//! Requests that were not granted: recorded once, denials shown to later approvers, and never taken for loans.

use std::sync::Arc;

use jiff::Timestamp;
use keyloan::api::*;
use keyloan::plan::effect::Effect;
use keyloan::plan::observed::{LinkSeen, Place};
use keyloan::plan::unlent::RECORDED_A_DAY;
use rstest::rstest;

use super::deciders::*;
use super::world::*;

/// Alice's request waits, and bob has agreed.
fn asked() -> World {
    World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .settled(1)
}

fn denied_by(who: Identity, decision: Decision) -> World {
    let mut world = asked();
    let said = world.decide(who, decision, 2);
    said.spec.reason = Some("not for alice".into());
    world
}

/// Denied by carol at 2, and recorded.
fn denied() -> World {
    denied_by(carol(), Decision::Deny).settled(3)
}

fn recorded(world: &World) -> &AccessRecordSpec {
    &world.seen.record.as_ref().expect("a record").spec
}

#[test]
fn a_denial_is_recorded_with_what_was_denied_and_by_whom_and_without_the_requesters_groups() {
    let mut asked = asked();
    asked.grant().spec.justification = Some("INC-1".into());
    let mut world = asked.settled(1);
    world.decide(carol(), Decision::Deny, 2);
    let world = world.settled(3);
    let record = recorded(&world);
    assert_eq!(record.outcome, Some(RequestOutcome::Denied));
    assert_eq!(record.justification.as_deref(), Some("INC-1"));
    assert_eq!(record.requested_at, Some(Time(at(0))));
    assert_eq!(record.requester.username, "alice");
    assert_eq!(record.requester.groups, vec![]);
    assert_eq!(record.grant.uid, GRANT_UID);
    let by = |d: &CountedDecision| (d.user.clone(), d.decision);
    let decisions: Vec<_> = record.decisions.iter().map(by).collect();
    let expected = [("bob", Decision::Approve), ("carol", Decision::Deny)];
    assert_eq!(
        decisions,
        expected.map(|(who, what)| (who.to_owned(), what))
    );
    let end = record.end.clone().expect("an end");
    assert_eq!(
        (end.reason, end.by.as_deref()),
        (EndReason::Denied, Some("carol"))
    );
    assert_eq!(
        end.at,
        Time(at(2)),
        "when it was denied, not when it was seen"
    );
    assert_eq!(record.links, vec![]);
    assert_eq!(record.residual_until, None);
}

/// The status comes first: a record that is refused does not undo a denial.
#[test]
fn a_denial_is_said_before_it_is_recorded() {
    let world = denied_by(carol(), Decision::Deny);
    let plan = world.plan_at(3);
    assert_eq!(plan.effect, None);
    assert_eq!(plan.status.expect("a status").phase, Some(Phase::Denied));
}

#[rstest]
#[case::taken_back_by_its_requester(|| denied_by(alice(), Decision::Revoke), RequestOutcome::TakenBack, Some("alice"))]
#[case::ended_by_an_approver(|| denied_by(carol(), Decision::Revoke), RequestOutcome::Denied, Some("carol"))]
#[case::not_approved_in_time(|| asked().settled(DAY), RequestOutcome::Lapsed, None)]
#[case::denied_by_nobody_who_decides(
    || denied_by(person("erin", &[]), Decision::Deny),
    RequestOutcome::Lapsed,
    None
)]
fn what_was_not_granted_is_recorded_with_its_outcome(
    #[case] over: fn() -> World,
    #[case] outcome: RequestOutcome,
    #[case] by: Option<&str>,
) {
    let world = over().settled(DAY + 1);
    let record = recorded(&world);
    let end = record.end.as_ref().expect("an end");
    assert_eq!((record.outcome, end.by.as_deref()), (Some(outcome), by));
    assert_eq!(format!("{:?}", end.reason), format!("{outcome:?}"));
}

#[test]
fn what_waits_or_was_never_covered_has_no_record() {
    let waits = asked().settled(5);
    assert!(waits.seen.record.is_none());
    let hopeless = World::asked()
        .with(|w| w.seen.flows.clear())
        .settled(2 * DAY);
    assert!(hopeless.seen.record.is_none());
}

#[test]
fn decisions_without_effect_are_in_the_record() {
    let world = denied_by(person("erin", &[]), Decision::Deny)
        .settled(3)
        .settled(DAY)
        .settled(DAY + 1);
    let ignored = &recorded(&world).ignored_decisions;
    assert_eq!(ignored.len(), 1);
    assert_eq!(
        (ignored[0].user.as_str(), ignored[0].decision),
        ("erin", Some(Decision::Deny))
    );
    assert!(ignored[0].uid.is_some() && !ignored[0].reason.is_empty());
}

#[test]
fn the_record_of_a_loan_says_that_it_was_lent_why_and_since_when_it_was_asked_for() {
    let world = World::lent_with(|w| w.grant().spec.justification = Some("INC-1".into()));
    let record = recorded(&world);
    assert_eq!(record.outcome, Some(RequestOutcome::Lent));
    assert_eq!(record.justification.as_deref(), Some("INC-1"));
    assert_eq!(record.requested_at, Some(Time(at(0))));
    assert_eq!(record.requester, alice());
}

#[test]
fn a_record_of_an_older_release_is_a_loans() {
    let world = World::lent().with(|w| {
        let record = &mut w.record().spec;
        (record.outcome, record.justification, record.requested_at) = (None, None, None);
    });
    let world = world.with(|w| w.asks_to_renew(55));
    assert_eq!(issued(&world.plan_at(55)).sequence, 2);
}

// Never taken for a loan.

/// Approved by all afterwards, asked for again, with a status that was lost: nothing is lent.
#[rstest]
#[case::approved_by_all(|w: &mut World| {
    w.decide(dave(), Decision::Approve, 4);
    w.decide(frank(), Decision::Approve, 4);
})]
#[case::asked_to_renew(|w: &mut World| w.asks_to_renew(4))]
#[case::without_its_status(|w: &mut World| w.grant().status = None)]
#[case::without_its_end(|w: &mut World| w.record().spec.end = None)]
#[case::while_the_flow_asks_for_nobody(|w: &mut World| w.flow().spec.approval = approval(ApprovalMode::None, &[]))]
fn nothing_is_ever_lent_by_a_request_whose_record_says_that_it_was_denied(
    #[case] happens: fn(&mut World),
) {
    let world = denied().with(happens);
    for minute in [4, 5, 60, 2 * DAY] {
        let plan = world.plan_at(minute);
        assert_eq!(plan.effect, None);
        let world = world.clone().settled(minute);
        let status = world.seen.grant.and_then(|g| g.status.clone());
        let status = status.expect("a status");
        assert_eq!(status.phase, Some(Phase::Denied));
        assert_eq!(status.record, None, "which would be a loan's");
    }
}

#[test]
fn a_status_that_was_lost_says_again_who_denied_it_and_why() {
    let before = denied();
    let said = |world: &World| {
        let status = world.seen.grant.as_ref().and_then(|g| g.status.clone());
        let status = status.expect("a status");
        (status.phase, status.decisions, status.terms, status.digest)
    };
    let restored = before.clone().with(|w| w.grant().status = None).settled(4);
    assert_eq!(said(&restored), said(&before));
    let plan = restored.plan_at(5);
    let (_, _, message) = condition(&plan, STALLED).expect("Stalled");
    assert_eq!(message, "the request was denied by carol: not for alice");
}

#[test]
fn a_denied_request_takes_no_place_of_a_loan() {
    assert_eq!(Place::of(recorded(&denied())), None);
    assert!(
        Place::of(recorded(&World::lent())).is_some(),
        "but a loan does"
    );
}

#[test]
fn a_secret_that_lies_where_a_link_would_is_deleted() {
    let world = denied().with(|w| w.seen.link = secret(1, 0));
    assert_eq!(world.plan_at(4).effect, Some(Effect::DeleteLink));
    let world = world.with(|w| w.seen.link = LinkSeen::Foreign);
    assert_eq!(world.plan_at(4).effect, None, "but not somebody else's");
}

#[test]
fn a_denied_request_is_tidied_away_after_a_week_and_its_record_after_its_retention() {
    let week = 7 * DAY + 3;
    let world = denied();
    assert_eq!(world.plan_at(week - 1).effect, None);
    assert_eq!(world.plan_at(week).effect, Some(Effect::DeleteGrant));
    let gone = world.with(|w| w.seen.grant = None);
    let retention = 90 * DAY + 2;
    let before = gone.plan_at(retention - 1);
    assert_eq!((before.effect, before.wake), (None, Some(at(retention))));
    assert_eq!(gone.plan_at(retention).effect, Some(Effect::DeleteRecord));
}

// Deleted at once.

/// What was seen of a request that went before the operator had looked at the decision about it.
fn gone(denied: World) -> World {
    denied.with(|w| w.seen.gone = w.seen.grant.take())
}

#[test]
fn a_request_that_is_deleted_before_its_denial_was_looked_at_is_recorded_as_denied() {
    let at_leisure = denied();
    let in_haste = gone(denied_by(carol(), Decision::Deny)).settled(3);
    assert_eq!(recorded(&in_haste), recorded(&at_leisure));
    assert_eq!(in_haste.plan_at(4).effect, None, "once");
}

#[rstest]
#[case::of_which_nothing_was_said(asked, None)]
#[case::that_its_requester_has_taken_back(|| denied_by(alice(), Decision::Revoke), Some("alice"))]
#[case::of_which_the_wrong_people_have_said_no(|| denied_by(person("erin", &[]), Decision::Deny), None)]
fn a_request_that_is_deleted_while_it_waits_was_taken_back(
    #[case] world: fn() -> World,
    #[case] by: Option<&str>,
) {
    let world = gone(world()).settled(3);
    let record = recorded(&world);
    let by_whom = record.end.as_ref().and_then(|end| end.by.as_deref());
    assert_eq!(
        (record.outcome, by_whom),
        (Some(RequestOutcome::TakenBack), by)
    );
}

#[test]
fn a_denial_of_what_has_lapsed_is_none() {
    let mut world = asked().settled(DAY);
    world.decide(carol(), Decision::Deny, DAY + 1);
    let world = gone(world).settled(DAY + 1);
    assert_eq!(recorded(&world).outcome, Some(RequestOutcome::Lapsed));
}

#[test]
fn a_request_that_no_flow_covers_leaves_no_record_when_it_is_deleted() {
    let hopeless = World::asked().with(|w| w.seen.flows.clear()).settled(1);
    assert_eq!(gone(hopeless).plan_at(3).effect, None);
}

// Later approvers see it.

/// The record of an earlier request of alice's that carol denied at this minute, changed.
fn earlier(minute: i64, change: impl FnOnce(&mut AccessRecordSpec)) -> Arc<AccessRecord> {
    let world = denied();
    let mut record = world.seen.record.map(Arc::unwrap_or_clone).expect("one");
    record.spec.grant.uid = format!("earlier-{minute}");
    record.spec.end.as_mut().expect("an end").at = Time(at(minute));
    change(&mut record.spec);
    Arc::new(record)
}

fn shown(world: &World) -> Vec<(Timestamp, RequestOutcome)> {
    let status = world.plan_at(1).status.expect("a status");
    let line = |d: &EarlierDenial| (d.at.0, d.outcome);
    status.earlier_denials.iter().map(line).collect()
}

#[test]
fn whoever_decides_next_sees_when_this_person_was_denied_this_item_and_not_why() {
    let unchanged = |_: &mut AccessRecordSpec| {};
    let mut before = asked();
    before.seen.unlent = vec![
        earlier(-300, unchanged),
        earlier(-200, unchanged),
        earlier(-250, |r| r.terms.item.id = "another".into()),
        earlier(-240, |r| r.terms.account = "another@1password.com".into()),
    ];
    let expected = [-200, -300].map(|minute| (at(minute), RequestOutcome::Denied));
    assert_eq!(shown(&before), expected);
    let status = before.plan_at(1).status.expect("a status");
    let told = format!("{:?}", status.earlier_denials);
    assert!(!told.contains("not for alice"), "{told}");
    assert_eq!(shown(&asked()), [], "nobody else's");
}

#[test]
fn of_many_earlier_denials_the_latest_five_are_shown() {
    let mut before = asked();
    before.seen.unlent = (1..=7)
        .map(|number| earlier(-10 * number, |_| {}))
        .collect();
    let expected: Vec<_> = (1..=5).map(|number| at(-10 * number)).collect();
    let times: Vec<_> = shown(&before).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, expected);
}

#[test]
fn what_was_shown_to_those_who_approved_stays_in_the_loans_status() {
    let mut world = World::by_owner_and_two_of_security();
    world.seen.unlent = vec![earlier(-200, |_| {})];
    let world = world
        .settled(0)
        .approved_by(bob(), 1)
        .approved_by(carol(), 2)
        .approved_by(dave(), 3)
        .settled(4)
        .with(|w| w.seen.unlent = vec![]);
    let status = world.plan_at(5).status.expect("a status");
    assert_eq!(status.phase, Some(Phase::Active));
    assert_eq!(status.earlier_denials.len(), 1);
}

/// So many of one requester in a day, and then the log tells of more.
#[test]
fn as_many_denials_of_one_requester_are_recorded_in_a_day_as_are_stated() {
    let many = |minute| {
        let mut world = denied_by(carol(), Decision::Deny);
        let others = (0..RECORDED_A_DAY).map(|_| earlier(minute, |_| {}));
        world.seen.unlent = others.collect();
        world.settled(3)
    };
    let today = many(-1);
    assert!(today.seen.record.is_none());
    let status = today.seen.grant.and_then(|g| g.status.clone());
    assert_eq!(status.and_then(|s| s.phase), Some(Phase::Denied));
    assert!(many(-DAY).seen.record.is_some(), "those of yesterday");
}

/// A person who asks and withdraws all day keeps no denial out of the ledger.
#[test]
fn what_a_person_takes_back_does_not_count_against_denials() {
    let mut world = denied_by(carol(), Decision::Deny);
    let taken_back = |r: &mut AccessRecordSpec| r.outcome = Some(RequestOutcome::TakenBack);
    world.seen.unlent = (0..RECORDED_A_DAY)
        .map(|_| earlier(-1, taken_back))
        .collect();
    assert_eq!(
        recorded(&world.clone().settled(3)).outcome,
        Some(RequestOutcome::Denied)
    );
    let withdrawn =
        denied_by(alice(), Decision::Revoke).with(|w| w.seen.unlent = world.seen.unlent);
    assert!(withdrawn.settled(3).seen.record.is_none());
}

#[test]
fn only_denials_are_shown_to_the_next_approver() {
    let lapsed = |r: &mut AccessRecordSpec| r.outcome = Some(RequestOutcome::Lapsed);
    let world = asked().with(|w| w.seen.unlent = vec![earlier(-100, lapsed)]);
    assert_eq!(shown(&world), []);
}
