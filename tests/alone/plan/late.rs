//! Failed requests: the decisions that counted stay known, and people who decide later read that it
//! was too late.

use keyloan::api::*;
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::effect::Effect;
use rstest::rstest;

use super::bounds;
use super::deciders::*;
use super::world::*;

const TOO_LATE: &str = "the decision came too late";

/// Bob has agreed, and nobody else until the timeout.
fn lapsed() -> World {
    World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .settled(1)
        .settled(DAY)
}

/// Bob has agreed, and carol says no.
fn denied() -> World {
    ended_by(carol(), Decision::Deny)
}

/// Bob has agreed, and alice does not want it any more.
fn taken_back() -> World {
    ended_by(alice(), Decision::Revoke)
}

fn ended_by(who: Identity, decision: Decision) -> World {
    let mut world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .settled(1);
    world.decide(who, decision, 2);
    world.settled(2)
}

/// All have agreed, and for a day nothing came of it.
fn not_started() -> World {
    World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 2)
        .approved_by(dave(), 3)
        .with(|w| w.failed(4, Failure::Forbidden))
        .settled(4)
        .with(|w| w.failed(DAY + 2, Failure::Forbidden))
        .settled(DAY + 3)
}

/// Bob has agreed, and the integration was suspended until it was too late.
fn suspended() -> World {
    World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .settled(1)
        .with(|w| w.integration().spec.suspend = true)
        .settled(2)
        .settled(2 * DAY)
}

fn status(world: &World) -> AccessGrantStatus {
    let grant = world.seen.grant.as_ref().expect("a grant");
    grant.status.clone().expect("a status")
}

#[rstest]
#[case::by_the_timeout(lapsed, Phase::Lapsed, &["bob for owner"])]
#[case::by_a_denial(denied, Phase::Denied, &["bob for owner", "carol"])]
#[case::by_its_requester(taken_back, Phase::Denied, &["bob for owner", "alice"])]
#[case::before_it_began(not_started, Phase::Lapsed, &["bob for owner", "carol for security", "dave for security"])]
#[case::while_it_was_held_up(suspended, Phase::Lapsed, &["bob for owner"])]
fn what_counted_and_its_terms_stay_known_when_a_request_comes_to_nothing(
    #[case] over: fn() -> World,
    #[case] phase: Phase,
    #[case] who: &[&str],
) {
    let over = over();
    let plan = over.plan_at(3 * DAY);
    assert_eq!(counted(&plan), who);
    let status = plan.status.expect("a status");
    assert_eq!(status.phase, Some(phase));
    let waiting = status_while_it_waited();
    assert_eq!((status.terms, status.digest), waiting);
}

fn status_while_it_waited() -> (Option<Terms>, Option<String>) {
    let status = status(&World::by_owner_and_two_of_security());
    assert!(status.terms.is_some() && status.digest.is_some());
    (status.terms, status.digest)
}

#[test]
fn what_was_approved_and_did_not_begin_is_said_to_have_been_approved() {
    let (missing, approved) = (lapsed().plan_at(3 * DAY), not_started().plan_at(3 * DAY));
    let message = "the request has not been approved";
    assert_eq!(
        condition(&missing, APPROVED),
        Some(("False", "NotApproved", message))
    );
    let message = "approved by bob (owner), carol (security), dave (security)";
    assert_eq!(
        condition(&approved, APPROVED),
        Some(("True", "Approved", message))
    );
    for plan in [missing, approved] {
        assert_eq!(reason(&plan, ACCEPTED), "Lapsed");
        assert!(stalled(&plan));
    }
}

/// (how it failed) (who decides then, and how).
#[rstest]
#[case::approved_after_the_timeout(lapsed, carol(), Decision::Approve)]
#[case::denied_after_the_timeout(lapsed, carol(), Decision::Deny)]
#[case::taken_back_after_the_timeout(lapsed, alice(), Decision::Revoke)]
#[case::approved_after_a_denial(denied, dave(), Decision::Approve)]
#[case::approved_again_after_a_denial(denied, bob(), Decision::Approve)]
#[case::denied_after_a_denial(denied, dave(), Decision::Deny)]
#[case::approved_after_it_was_taken_back(taken_back, carol(), Decision::Approve)]
#[case::denied_when_it_had_not_begun(not_started, carol(), Decision::Deny)]
#[case::approved_when_it_had_been_held_up(suspended, carol(), Decision::Approve)]
#[case::by_somebody_who_has_no_say(denied, person("mallory", &[]), Decision::Deny)]
fn a_decision_on_a_request_that_was_not_granted_was_too_late_and_status_says_so(
    #[case] over: fn() -> World,
    #[case] who: Identity,
    #[case] decision: Decision,
) {
    let mut world = over();
    let before = status(&world);
    assert_eq!(before.ignored_decisions, [], "the twin");
    world.decide(who, decision, 2 * DAY + 1);
    let plan = world.plan_at(2 * DAY + 1);
    assert_eq!(plan.effect, None);
    assert_eq!(ignored(&plan), TOO_LATE);
    let told = AccessGrantStatus {
        ignored_decisions: vec![],
        ..plan.status.expect("a status")
    };
    assert_eq!(told, before, "nothing else has changed");
    let world = world.settled(2 * DAY + 1);
    let later = world.plan_at(2 * DAY + 2).status;
    assert_eq!(later, Some(status(&world)), "and it is written once");
}

#[test]
fn an_approval_from_after_the_timeout_that_is_seen_with_it_came_too_late() {
    let plan = World::by_owner_and_two_of_security()
        .approved_by(bob(), DAY)
        .weighed_at(DAY);
    assert_eq!(reason(&plan, ACCEPTED), "Lapsed");
    assert_eq!(ignored(&plan), TOO_LATE);
    assert_eq!(counted(&plan), Vec::<String>::new());
}

/// The operator was away meanwhile: nobody vouches any more for who approved.
#[test]
fn of_decisions_that_are_seen_together_those_after_the_denial_came_too_late() {
    let mut world = World::by_owner_and_two_of_security().approved_by(bob(), 1);
    world.decide(carol(), Decision::Deny, 2);
    let world = world.approved_by(dave(), 3);
    let plan = world.plan_at(4);
    assert_eq!(reason(&plan, APPROVED), "Denied");
    assert_eq!(counted(&plan), ["carol"]);
    assert_eq!(
        ignored(&plan),
        "the request ended before the decision could take effect; the decision came too late"
    );
}

#[test]
fn what_was_said_of_a_decision_stays_said_when_the_request_lapses() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(carol(), 1)
        .approved_by(carol(), 2)
        .approved_by(person("mallory", &[]), 3)
        .settled(3);
    let said = "this person has already approved; each person counts once; this person is in none of the groups that approve the request";
    assert_eq!(ignored(&world.plan_at(4)), said);
    let held = world.with(|w| w.integration_seen().throttled_until = Some(at(30)));
    assert_eq!(ignored(&held.plan_at(5)), said, "also while it is held up");
    let lapsed = held.settled(DAY);
    assert_eq!(ignored(&lapsed.plan_at(DAY + 1)), said);
    assert_eq!(counted(&lapsed.plan_at(DAY + 1)), ["carol for security"]);
}

#[test]
fn however_many_decide_too_late_status_shows_the_newest_and_is_written_once() {
    let mut world = denied();
    for minute in 3..=30 {
        world.decide(dave(), Decision::Approve, minute);
    }
    let world = world.settled(30);
    let shown = status(&world);
    bounds::keeps(&shown).expect("the API server takes it");
    let newest = shown.ignored_decisions.last().expect("some").name.clone();
    assert_eq!(
        (shown.ignored_decisions.len(), newest.as_str()),
        (20, "decision-29")
    );
    let plan = world.plan_at(31);
    assert_eq!((plan.effect, plan.status), (None, Some(shown)));
}

#[test]
fn a_request_is_tidied_away_in_its_time_whoever_decides_on_it_later() {
    let mut world = denied();
    world.decide(dave(), Decision::Approve, 7 * DAY);
    let world = world.settled(7 * DAY);
    let due = 7 * DAY + 2;
    assert_eq!(world.plan_at(due - 1).wake, Some(at(due)));
    assert_eq!(world.plan_at(due).effect, Some(Effect::DeleteGrant));
}

/// The flow was suspended when bob approved, so nobody counted it.
#[test]
fn an_approval_in_time_of_a_request_that_lapses_uncounted_did_not_come_too_late() {
    let suspended = World::by_owner_and_two_of_security()
        .with(|w| w.integration().spec.suspend = true)
        .settled(1)
        .approved_by(bob(), 2);
    let plan = suspended.plan_at(DAY);
    assert_eq!(reason(&plan, ACCEPTED), "Lapsed");
    let why = "the request ended before the decision could take effect";
    assert_eq!(ignored(&plan), why);
    let later = suspended.settled(DAY).plan_at(DAY + 1);
    assert_eq!(ignored(&later), why, "it stays said");
}
