//! The events of a loan: what each step is called, for whom it matters, how it is recognized, and what Kubernetes shows of it.

use keyloan::api::*;
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::effect::{Effect, Plan};
use keyloan::plan::events::About;
use keyloan::plan::observed::LinkSeen;
use rstest::rstest;

use super::deciders::*;
use super::executor::{fail_to_delete, fail_to_issue};
use super::world::*;

/// One line for each event: its id without the grant's uid and the digest, for whom it matters, and what Kubernetes shows.
fn told(plan: &Plan) -> Vec<String> {
    let status = plan.status.as_ref();
    let digest = status.and_then(|s| s.digest.clone()).unwrap_or_default();
    let line = |event: &keyloan::plan::events::LoanEvent| {
        let id = event.id.as_str().strip_prefix(GRANT_UID).expect("the uid");
        let id = match digest.as_str() {
            "" => id.to_owned(),
            digest => id.replace(digest, "DIGEST"),
        };
        let warning = |warning| if warning { "!" } else { "" };
        let notes = event.notes.iter();
        let notes: Vec<_> = notes
            .map(|note| format!("{}{}", note.reason, warning(note.warning)))
            .collect();
        let of = event.kind.to_string();
        assert_eq!(id.split('/').nth(1), Some(of.as_str()), "{id}");
        format!(
            "{}{} for {:?}: {}",
            &id[1..],
            warning(event.warning),
            event.addressees(),
            notes.join(" ")
        )
    };
    plan.events.iter().map(line).collect()
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
#[case::it_needs_approval(unanswered(), 0, &["Requested/DIGEST for [Approvers]: NotApproved"])]
#[case::it_is_approved(approved(), 1, &[
    "Approved/DIGEST for [Requester]: Approved",
    "Issuing for [Requester]: Issuing",
])]
#[case::it_is_denied(decided(bob(), Decision::Deny), 1, &[
    "Denied! for [Requester, Approvers]: Denied Denied!",
])]
#[case::it_is_withdrawn(decided(alice(), Decision::Revoke), 1, &[
    "Withdrawn! for [Requester, Approvers]: Revoked Revoked Revoked!",
])]
#[case::nobody_answers(unanswered().settled(0), DAY, &[
    "Lapsed! for [Requester, Approvers]: Lapsed NotStarted Lapsed!",
])]
#[case::the_item_is_looked_for(asked_for_nothing(), 0, &[
    "Waiting/LookingForItem/1795428000 for [Requester]: LookingForItem NotStarted",
])]
#[case::there_is_no_item(asked_for_nothing().one_step(0), 0, &[
    "Failed/ItemNotFound/1795428000! for [Requester]: ItemNotFound NotStarted ItemNotFound!",
])]
#[case::it_needs_no_approval(World::asked(), 0, &["Issuing for [Requester]: Issuing"])]
#[case::the_first_link_opens(World::asked().one_step(0), 0, &["LinkIssued/1 for [Requester]: LinkIssued"])]
#[case::the_first_link_has_to_wait(failed_first(Failure::RateLimited { until: at(7) }), 0, &[
    "LinkDelayed/OnePasswordThrottled/1795428000 for [Requester]: OnePasswordThrottled",
])]
#[case::the_first_link_needs_a_person(World::asked().with(|w| w.failed(0, Failure::Unauthorized)), 0, &[
    "LinkDelayed/OnePasswordUnauthorized/1795428000! for [Requester, Owners]: OnePasswordUnauthorized OnePasswordUnauthorized!",
])]
#[case::the_first_link_is_refused(failed_first(Failure::Refused).one_step(0), 0, &[
    "Failed/NotIssued/1795428000! for [Requester]: NotIssued NotIssued NotIssued!",
])]
#[case::a_link_follows_one_that_opens(renewed(World::lent(), 55), 55, &["LinkRenewed/2 for [Requester]: "])]
#[case::a_link_follows_one_that_has_ended(renewed(World::lent().settled(70), 80), 80, &[
    "LinkRenewed/2 for [Requester]: LinkIssued",
])]
#[case::the_link_has_ended(World::lent(), 60, &["LinkEnded/1 for [Requester]: LinkEnded"])]
#[case::the_last_link_has_ended(World::lent(), 190, &[
    "LinkEnded/1/NoTimeForAnotherLink for [Requester]: NoTimeForAnotherLink",
])]
#[case::the_secret_is_gone(World::lent().with(|w| w.seen.link = LinkSeen::Absent), 10, &[
    "LinkLost/1 for [Requester]: LinkSecretMissing",
])]
#[case::it_ends_and_a_link_may_open(ended_early(), 20, &["Ended for [Requester, Owners]: Blocked"])]
#[case::that_link_has_ended(ended_early().settled(20), 60, &["ResidualOver for [Requester, Owners]: Blocked"])]
#[case::it_ends_and_nothing_opens(World::lent().settled(70).one_step(240).one_step(240), 240, &[
    "Ended for [Requester, Owners]: Expired Expired",
])]
#[case::its_secret_stays(undeletable(), 21, &[
    "Stalled/LinkSecretStays/1795429260! for [Requester, Owners]: LinkSecretStays!",
])]
fn each_step_is_told(#[case] world: World, #[case] minute: i64, #[case] expected: &[&str]) {
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
    assert_eq!(told(&plan), ["Ended for [Requester, Owners]: Deleted"]);
    let [event] = &plan.events[..] else {
        panic!("one event")
    };
    assert_eq!((event.message.as_str(), event.at), (message, at(minute)));
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
    assert_eq!(told(&plan), ["Ended for [Requester, Owners]: Deleted"]);
}

#[test]
fn an_event_shows_the_request_with_its_new_status() {
    let plan = unanswered().plan_at(0);
    let About::Request(grant) = &plan.events[0].about else {
        panic!("{:?}", plan.events)
    };
    assert_eq!(grant.status, plan.status);
    let says = &plan.events[0].message;
    assert!(
        says.starts_with("waiting for 1 approval from group"),
        "{says}"
    );
}

/// The id of the last event of a plan.
fn id(world: &World, minute: i64) -> String {
    let plan = world.weighed_at(minute);
    let last = plan.events.last().expect("an event");
    last.id.as_str().to_owned()
}

#[test]
fn the_same_step_has_the_same_id() {
    // The status could not be written.
    let lost = World::lent().with(|w| w.seen.link = LinkSeen::Absent);
    assert_eq!(id(&lost, 10), id(&lost, 11));
    // It waits for something else, and again for its approvers.
    let suspended = unanswered()
        .settled(0)
        .with(|w| w.integration().spec.suspend = true)
        .settled(5);
    let again = suspended.with(|w| w.integration().spec.suspend = false);
    assert_eq!(id(&again, 6), id(&unanswered(), 0));
    // A loan ends once, however that is told.
    let deleted = World::lent().with(|w| w.seen.grant = None).one_step(20);
    assert_eq!(id(&deleted, 20), id(&ended_early(), 20));
}

#[test]
fn different_steps_have_different_ids() {
    let first = renewed(World::lent(), 55);
    let second = renewed(first.clone().settled(55), 110);
    assert_eq!(
        told(&second.plan_at(110)),
        ["LinkRenewed/3 for [Requester]: "]
    );
    assert_ne!(id(&first, 55), id(&second, 110));
    // Later, for the same reason.
    let delayed = |minute| World::asked().with(|w| w.failed(minute, Failure::Unavailable));
    assert_ne!(id(&delayed(0), 0), id(&delayed(9), 9));
    // Another grant.
    let other = World::asked().with(|w| w.grant().metadata.uid = Some("other".into()));
    assert_ne!(id(&other, 0), id(&World::asked(), 0));
}

/// What was approved is no longer what would be lent: the approvers are asked again, although no condition changes.
#[test]
fn new_terms_are_a_new_request_to_the_approvers() {
    let before = unanswered().settled(0);
    let changed = before
        .clone()
        .with(|w| w.infra().items[0].updated_at = at(1));
    let plan = changed.plan_at(2);
    assert_eq!(told(&plan), ["Requested/DIGEST for [Approvers]: "]);
    assert_ne!(id(&changed, 2), id(&unanswered(), 0));
    assert_eq!(before.plan_at(2).events, []);
}

#[test]
fn a_receiver_sees_each_event_of_a_life_once() {
    let mut world = unanswered();
    let mut ids = Vec::new();
    let mut passes = |world: &mut World, minute| {
        for _ in 0..8 {
            let plan = world.plan_at(minute);
            if plan.effect.is_none() || world.seen.grant.is_none() {
                ids.extend(plan.events.iter().map(|e| e.id.as_str().to_owned()));
            }
            *world = world.clone().one_step(minute);
        }
    };
    passes(&mut world, 0);
    world = world.approved_by(bob(), 1).approved_by(carol(), 1);
    world = world.approved_by(dave(), 1);
    passes(&mut world, 1);
    world.asks_to_renew(56);
    passes(&mut world, 56);
    passes(&mut world, 117);
    world.seen.grant = None;
    passes(&mut world, 120);
    let kinds: Vec<_> = ids.iter().filter_map(|id| id.split('/').nth(1)).collect();
    assert_eq!(
        kinds,
        [
            "Requested",
            "Approved",
            "LinkIssued",
            "LinkRenewed",
            "LinkEnded",
            "Ended"
        ]
    );
}
