//! The steps of requests and loans, as notices and the audit log tell them: derived from the objects
//! alone, each with the same id and time whenever that is done.

use jiff::{SignedDuration, Timestamp};
use keyloan::api::*;
use keyloan::plan::timeline::Subject;
use rstest::rstest;

use super::deciders::*;
use super::world::*;

/// What a world's objects tell at this minute: the minute, the event and what tells it from others
/// of its kind.
fn told(world: &World, minute: i64) -> Vec<String> {
    told_with(world, None, minute)
}

fn told_with(world: &World, remind_after: Option<SignedDuration>, minute: i64) -> Vec<String> {
    let subject = subject(world);
    let steps = subject.steps(remind_after, at(minute));
    let digest = |id: &str| {
        id.split('/')
            .skip(1)
            .map(shorter)
            .collect::<Vec<_>>()
            .join("/")
    };
    let line = |step: &keyloan::plan::timeline::Step<'_>| {
        format!("{} {}", minutes(step.at), digest(&step.id))
    };
    steps.iter().map(line).collect()
}

fn shorter(part: &str) -> &str {
    if part.contains(':') { "DIGEST" } else { part }
}

fn minutes(time: Timestamp) -> i64 {
    time.duration_since(at(0)).as_mins()
}

fn subject(world: &World) -> Subject<'_> {
    Subject {
        grant: world.seen.grant.as_deref(),
        record: world.seen.record.as_deref().map(|record| &record.spec),
    }
}

fn waiting() -> World {
    World::by_owner_and_two_of_security().settled(0)
}

fn lent() -> World {
    waiting()
        .approved_by(bob(), 1)
        .approved_by(carol(), 2)
        .approved_by(dave(), 3)
        .settled(4)
}

#[test]
fn a_request_asks_is_approved_and_gets_its_link() {
    assert_eq!(told(&waiting(), 0), ["0 Requested/DIGEST"]);
    let lent = told(&lent(), 5);
    let events: Vec<_> = lent
        .iter()
        .map(|line| line.split('/').next().unwrap())
        .collect();
    let expected = [
        "0 Requested",
        "1 Decided",
        "2 Decided",
        "3 Decided",
        "3 Approved",
        "4 LinkIssued",
    ];
    assert_eq!(events, expected);
}

#[test]
fn whoever_knows_only_the_record_tells_the_same() {
    let both = lent();
    let record = both.clone().with(|w| w.seen.grant = None);
    assert_eq!(told(&record, 5), told(&both, 5));
}

#[test]
fn only_time_brings_the_word_that_a_loan_ends_soon() {
    let world = World::lent();
    let soon = |minute| {
        told(&world, minute)
            .iter()
            .any(|line| line.ends_with("EndsSoon"))
    };
    let next = subject(&world).next(at(1)).expect("something is to come");
    assert!(!soon(minutes(next) - 1) && soon(minutes(next)));
}

#[test]
fn a_request_that_waits_is_recalled_once_and_one_that_does_not_wait_never() {
    let after = Some(SignedDuration::from_mins(30));
    let recalled = |world: &World, minute| {
        let told = told_with(world, after, minute);
        told.iter().filter(|line| line.contains("Reminder")).count()
    };
    assert_eq!(recalled(&waiting(), 29), 0);
    assert_eq!(recalled(&waiting(), 30), 1);
    assert_eq!(recalled(&waiting(), 300), 1);
    assert_eq!(recalled(&lent(), 31), 0);
    let waiting = waiting();
    let reminder = subject(&waiting).reminder(after).expect("it waits");
    assert_eq!(reminder.at, at(30));
}

#[rstest]
#[case::denied(|w: World| w.with(|w| { w.decide(carol(), Decision::Deny, 2); }), "2 Denied")]
#[case::taken_back(|w: World| w.with(|w| { w.decide(alice(), Decision::Revoke, 2); }), "2 TakenBack")]
#[case::lapsed(|w: World| w, "1440 Lapsed")]
fn the_outcome_is_the_same_by_the_status_and_by_the_record(
    #[case] over: fn(World) -> World,
    #[case] last: &str,
) {
    let minute = if last.starts_with("1440") { DAY } else { 3 };
    let shown = over(waiting()).settled(minute);
    let by_both = told(&shown, minute + 1);
    assert_eq!(by_both.last().map(String::as_str), Some(last));
    let by_record = told(&shown.clone().with(|w| w.seen.grant = None), minute + 1);
    assert_eq!(by_record.last().map(String::as_str), Some(last));
    let by_status = told(&shown.with(|w| w.seen.record = None), minute + 1);
    assert_eq!(by_status.last().map(String::as_str), Some(last));
}

#[test]
fn the_first_link_that_is_issued_is_the_first_whatever_was_lost_before() {
    let world = World::lent().with(|w| {
        let links = &mut w.record().spec.links;
        let mut lost = links[0].clone();
        links[0].sequence = 2;
        (lost.outcome, lost.issued_at) = (Some(LinkOutcome::Lost), None);
        links.insert(0, lost);
    });
    let told = told(&world, 5);
    let links: Vec<_> = told.iter().filter(|line| line.contains("Link")).collect();
    assert!(
        links[0].ends_with("LinkLost/1") && links[1].ends_with("LinkIssued/2"),
        "{links:?}"
    );
}

#[test]
fn an_end_is_told_and_later_that_no_link_opens_any_longer() {
    let mut world = World::lent();
    world.decide(alice(), Decision::Revoke, 10);
    let world = world.settled(10);
    let ended = told(&world, 11);
    assert_eq!(ended.last().map(String::as_str), Some("10 Ended"));
    let over = minutes(subject(&world).next(at(11)).expect("the link still opens"));
    let later = told(&world, over);
    assert_eq!(
        later.last().map(String::as_str),
        Some(format!("{over} LinksOver").as_str())
    );
}

/// A revocation has the API server's time; the operator may have handed over a link meanwhile.
#[test]
fn an_end_is_told_after_the_last_link_even_if_somebody_revoked_before_it() {
    let mut world = World::lent();
    world.decide(alice(), Decision::Revoke, 10);
    let world = world.settled(10).with(|w| {
        let links = &mut w.record().spec.links;
        let mut late = links[0].clone();
        (late.sequence, late.issued_at) = (2, Some(Time(at(12))));
        links.push(late);
    });
    let told = told(&world, 13);
    assert_eq!(told[told.len() - 2..], ["12 LinkRenewed/2", "10 Ended"]);
}

/// An integration that cannot be used for a while takes the condition away, and it comes back later.
#[test]
fn approvers_were_asked_before_they_decided_even_if_the_flow_was_found_again_later() {
    let mut world = waiting();
    world.decide(bob(), Decision::Approve, 1);
    let world = world.settled(2).with(|w| {
        let grant = w.grant();
        let status = grant.status.as_mut().unwrap();
        let accepted = status.conditions.iter_mut().find(|c| c.type_ == ACCEPTED);
        accepted.unwrap().last_transition_time = Time(at(5));
    });
    assert_eq!(told(&world, 6)[0], "1 Requested/DIGEST");
}
