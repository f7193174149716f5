//! The events of a loan: what Kubernetes shows of each step.

use keyloan::api::*;
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::effect::{Effect, Plan};
use keyloan::plan::events::About;
use keyloan::plan::observed::LinkSeen;
use rstest::rstest;

use super::deciders::*;
use super::executor::{fail_to_delete, fail_to_issue};
use super::world::*;

/// What Kubernetes shows: the reasons, in their order, those that want a person with a mark.
fn told(plan: &Plan) -> String {
    let notes = plan.events.iter().flat_map(|event| &event.notes);
    let warning = |warning| if warning { "!" } else { "" };
    let told: Vec<_> = notes
        .map(|note| format!("{}{}", note.reason, warning(note.warning)))
        .collect();
    told.join(" ")
}

fn unanswered() -> World {
    World::asked().with(|w| {
        w.flow().spec.approval = approval_by(ApprovalMode::AllOf, owner_and_two_of_security());
    })
}

fn approved() -> World {
    let world = World::by_owner_and_two_of_security();
    let world = world.approved_by(bob(), 1).approved_by(carol(), 1);
    world.approved_by(dave(), 1)
}

fn decided(who: Identity, decision: Decision) -> World {
    let mut world = World::by_owner_and_two_of_security();
    world.decide(who, decision, 1);
    world
}

fn asked_for_nothing() -> World {
    World::asked().with(|w| w.asks_for("Infra", "nothing"))
}

fn failed_first(failure: Failure) -> World {
    let world = World::asked();
    let plan = world.plan_at(0);
    let seen = fail_to_issue(issued(&plan), world.seen, failure, at(0));
    World { seen }
}

/// The next link has been asked for and issued at this minute; no status says so yet.
fn renewed(world: World, minute: i64) -> World {
    world.with(|w| w.asks_to_renew(minute)).one_step(minute)
}

fn blocked() -> World {
    World::lent().with(World::block_alice)
}

/// The loan has ended at minute 20, and its link opens until minute 60.
fn ended_early() -> World {
    blocked().one_step(20).one_step(20)
}

fn undeletable() -> World {
    let World { seen } = ended_early().settled(20);
    let seen = fail_to_delete(seen, at(21));
    World { seen }.with(|w| w.seen.link = secret(1, 0))
}

#[rstest]
#[case::it_needs_approval(unanswered(), 0, "NotApproved")]
#[case::it_is_approved(approved(), 1, "Approved Issuing")]
#[case::it_is_denied(decided(bob(), Decision::Deny), 1, "Denied Denied!")]
#[case::it_is_withdrawn(decided(alice(), Decision::Revoke), 1, "Revoked Revoked Revoked!")]
#[case::nobody_answers(unanswered().settled(0), DAY, "Lapsed NotStarted Lapsed!")]
#[case::the_item_is_looked_for(asked_for_nothing(), 0, "LookingForItem NotStarted")]
#[case::there_is_no_item(asked_for_nothing().one_step(0), 0, "ItemNotFound NotStarted ItemNotFound!")]
#[case::it_needs_no_approval(World::asked(), 0, "Issuing")]
#[case::the_first_link_opens(World::asked().one_step(0), 0, "LinkIssued")]
#[case::the_first_link_has_to_wait(failed_first(Failure::RateLimited { until: at(7) }), 0, "OnePasswordThrottled")]
#[case::the_first_link_needs_a_person(World::asked().with(|w| w.failed(0, Failure::Unauthorized)), 0, "OnePasswordUnauthorized OnePasswordUnauthorized!")]
#[case::the_first_link_is_refused(failed_first(Failure::Refused).one_step(0), 0, "NotIssued NotIssued NotIssued!")]
#[case::a_link_follows_one_that_opens(renewed(World::lent(), 55), 55, "")]
#[case::a_link_follows_one_that_has_ended(renewed(World::lent().settled(70), 80), 80, "LinkIssued")]
#[case::the_link_has_ended(World::lent(), 60, "LinkEnded")]
#[case::the_last_link_has_ended(World::lent(), 190, "NoTimeForAnotherLink")]
#[case::the_secret_is_gone(World::lent().with(|w| w.seen.link = LinkSeen::Absent), 10, "LinkSecretMissing")]
#[case::it_ends_and_a_link_may_open(ended_early(), 20, "Blocked")]
#[case::that_link_has_ended(ended_early().settled(20), 60, "Blocked")]
#[case::it_ends_and_nothing_opens(World::lent().settled(70).one_step(240).one_step(240), 240, "Expired Expired")]
#[case::its_secret_stays(undeletable(), 21, "LinkSecretStays!")]
fn each_step_is_told(#[case] world: World, #[case] minute: i64, #[case] expected: &str) {
    let plan = world.weighed_at(minute);
    assert_eq!(told(&plan), expected, "{:?}", plan.effect);
}

/// The status tells it, once the end is in the record.
#[test]
fn the_end_of_a_loan_with_a_request_is_told_by_its_status_alone() {
    let world = blocked().one_step(20);
    let plan = world.plan_at(20);
    assert!(matches!(plan.effect, Some(Effect::EndLoan { .. })));
    assert_eq!(plan.events, []);
}

#[rstest]
#[case::while_its_link_opens(
    20,
    "the grant was deleted; an issued link may still open until 2026-11-23T11:00:00Z: to cut off access now, change the item's secret in 1Password"
)]
#[case::after_its_link_has_ended(70, "the grant was deleted")]
fn a_loan_whose_request_is_deleted_tells_its_end(#[case] minute: i64, #[case] message: &str) {
    let gone = World::lent().with(|w| w.seen.grant = None);
    assert_eq!(gone.plan_at(minute).events, [], "its Secret goes first");
    let gone = gone.one_step(minute);
    let plan = gone.plan_at(minute);
    assert!(matches!(plan.effect, Some(Effect::EndLoan { .. })));
    assert_eq!(told(&plan), "Deleted");
    let [event] = &plan.events[..] else {
        panic!("one event")
    };
    assert_eq!(event.notes[0].message, message);
    let About::Record(record) = &event.about else {
        panic!("{event:?}")
    };
    let ended = gone.one_step(minute);
    assert_eq!(Some(record), ended.seen.record.as_ref());
    assert_eq!(ended.plan_at(minute).events, []);
}

/// A request that somebody's finalizer keeps shows nothing any longer.
#[test]
fn a_loan_whose_request_is_being_deleted_tells_its_end() {
    let deleted = |w: &mut World| w.grant().metadata.deletion_timestamp = Some(Time(at(20)));
    let plan = World::lent().with(deleted).one_step(20).plan_at(20);
    assert_eq!(told(&plan), "Deleted");
}
