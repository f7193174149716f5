use std::sync::Arc;

use super::*;
use crate::api::Email;
use crate::controllers::notices::parcel::Content;
use crate::desk::cloud_event::CloudEvent;
use crate::desk::cloud_event::Data;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn to(name: &str) -> Parcel {
    let event = CloudEvent::new("keyloan", "e".into(), "ended", at(0), Data::default());
    Parcel {
        to: Destination::Address(Email(format!("{name}@example.com"))),
        content: Content::Event(Arc::new(event)),
    }
}

fn parcels(count: usize) -> Vec<Parcel> {
    vec![to("archive"); count]
}

fn step(id: &str, second: i64) -> Offered<'_> {
    Offered {
        id,
        at: at(second),
        told_by: at(second),
        requester: "alice",
        bytes: 1,
    }
}

fn line() -> Line {
    let mut line = Line::resume(None, at(0));
    line.begin(at(0));
    line
}

/// Puts steps into a line, each by its id and its time.
fn offered(line: &mut Line, steps: &[(&str, i64)]) {
    for (id, second) in steps {
        line.offer(step(id, *second), at(*second), parcels(1));
    }
}

fn next(line: &mut Line, second: i64) -> Option<Number> {
    let next = line.next(at(second), |_| true);
    next.map(|(number, _)| number)
}

/// Delivers the next message.
fn delivers(line: &mut Line, second: i64) {
    let number = next(line, second).expect("a message");
    line.delivered(number, at(second));
}

fn resumed(line: &mut Line) -> Line {
    let progress = line.progress(at(0));
    let status = AccessNotifierStatus {
        told_until: Some(Time(progress.told_until)),
        told: progress.told,
        dropped: Some(progress.dropped),
        ..AccessNotifierStatus::default()
    };
    Line::resume(Some(&status), at(0))
}

#[test]
fn a_step_is_told_once_and_leaves_with_its_last_message() {
    let mut line = line();
    line.offer(step("a", 5), at(5), parcels(2));
    line.offer(step("a", 5), at(6), parcels(2));
    for waits in [2, 1] {
        assert_eq!(line.backlog(), waits);
        delivers(&mut line, 6);
    }
    line.offer(step("a", 5), at(7), parcels(1));
    assert_eq!((line.backlog(), next(&mut line, 8)), (0, None));
}

#[test]
fn after_a_restart_nothing_is_told_twice_and_what_waited_is_told() {
    let steps = [("a", 100), ("b", 200), ("c", 300)];
    let mut before = line();
    offered(&mut before, &steps);
    delivers(&mut before, 300);
    delivers(&mut before, 300);
    let mut after = resumed(&mut before);
    offered(&mut after, &steps);
    assert_eq!((after.backlog(), after.oldest()), (1, Some(at(300))));
}

#[test]
fn what_was_missed_before_the_beginning_is_told_in_the_order_in_which_it_happened() {
    let mut line = Line::resume(None, at(0));
    offered(&mut line, &[("as it happens", 300)]);
    line.offer(step("missed", 100), at(301), vec![to("bob")]);
    line.begin(at(301));
    let (_, first) = line.next(at(301), |_| true).expect("a message");
    assert_eq!(first.to, to("bob").to);
}

#[test]
fn what_was_told_long_ago_is_no_longer_listed_and_still_counts_as_told() {
    let mut line = line();
    offered(&mut line, &[("a", 100), ("b", 100 + 601)]);
    delivers(&mut line, 701);
    delivers(&mut line, 701);
    assert_eq!(line.progress(at(701)).told.len(), 1);
    assert!(line.told_until() >= at(100) && line.told_until() < at(701));
}

#[test]
fn nothing_counts_as_told_before_what_still_waits() {
    let mut line = line();
    offered(&mut line, &[("late", 5000), ("early", 10)]);
    delivers(&mut line, 5000);
    assert!(line.told_until() < at(10));
    delivers(&mut line, 5000);
    assert_eq!(line.told_until(), at(5000 - 600));
}

#[test]
fn a_notifier_that_rests_says_once_an_hour_how_far_it_has_got() {
    let mut line = line();
    assert_eq!(line.rests_from(), Some(at(4200)));
    assert_eq!(line.progress(at(4199)).told_until, at(0));
    assert_eq!(line.progress(at(4200)).told_until, at(3600));
    assert_eq!(line.progress(at(4300)).told_until, at(3600));
    offered(&mut line, &[("a", 4300)]);
    assert_eq!(line.progress(at(90_000)).told_until, at(3600));
    assert_eq!(line.rests_from(), None);
}

#[test]
fn what_has_not_been_looked_for_yet_does_not_count_as_told() {
    let mut line = Line::resume(None, at(0));
    offered(&mut line, &[("as it happens", 80_000)]);
    assert_eq!(line.progress(at(90_000)).told_until, at(0));
}

#[test]
fn of_two_restarts_in_a_row_the_second_one_repeats_nothing_either() {
    let steps = [("a", 1000), ("b", 1060), ("c", 1120)];
    let mut line = line();
    for leader in 0..3 {
        for step in &steps[..=leader] {
            offered(&mut line, &[*step]);
        }
        assert_eq!(line.backlog(), 1, "leader {leader}");
        line.begin(at(1120));
        delivers(&mut line, 1120);
        line = resumed(&mut line);
    }
}

#[test]
fn what_a_later_step_waits_for_does_not_count_as_told() {
    let mut line = line();
    offered(&mut line, &[("waits", 5000)]);
    assert_eq!(line.progress(at(5001)).told_until, at(0));
}

#[test]
fn a_new_leader_waits_for_what_happened_before_it() {
    let mut line = Line::resume(None, at(0));
    line.begin(at(90_000));
    assert_eq!(line.progress(at(90_000)).told_until, at(0));
    assert_eq!(line.progress(at(90_600)).told_until, at(90_000));
}

#[test]
fn whose_many_marks_have_to_go_waits_all_the_same() {
    let mut line = line();
    line.offer(step("waits", 1), at(1), vec![to("full")]);
    for number in 0..MOST_LISTED + 10 {
        line.offer(step(&number.to_string(), 2), at(2), parcels(1));
        let (next, _) = line.next(at(2), |it| *it != to("full").to).expect("one");
        line.delivered(next, at(2));
    }
    let progress = line.progress(at(3));
    assert!(progress.told_until < at(1) && progress.told.len() <= MOST_LISTED);
}

#[test]
fn one_who_cannot_be_reached_holds_up_nobody_else_and_their_own_messages_keep_their_order() {
    let mut line = line();
    line.offer(step("a", 1), at(1), vec![to("full"), to("archive")]);
    line.offer(step("b", 2), at(2), vec![to("full"), to("archive")]);
    let full = to("full").to;
    let (number, parcel) = line.next(at(3), |_| true).expect("a message");
    assert_eq!(parcel.to, full);
    line.failed(number, "the mailbox is full", at(3));
    for _ in ["a", "b"] {
        let (other, parcel) = line.next(at(3), |to| *to != full).expect("a message");
        assert_eq!(parcel.to, to("archive").to);
        line.delivered(other, at(3));
        assert_eq!(line.delivery().failing_since, Some(at(3)));
    }
    assert!(line.next(at(3), |to| *to != full).is_none());
    assert_eq!(
        next(&mut line, 4),
        Some(number),
        "the first one comes first"
    );
    line.delivered(number, at(4));
    assert_eq!(line.delivery(), Delivery::default());
    assert_eq!(line.backlog(), 1);
}

#[test]
fn a_notice_is_given_up_after_a_day_and_counted() {
    let mut line = line();
    offered(&mut line, &[("a", 0), ("b", 80_000)]);
    assert!(next(&mut line, 86_399).is_some());
    assert!(next(&mut line, 86_400).is_some(), "the other one");
    let progress = line.progress(at(86_400));
    assert_eq!((progress.backlog, progress.dropped), (1, 1));
}

#[test]
fn of_too_many_the_oldest_are_given_up() {
    let mut line = line();
    for number in 0..=MOST_WAITING {
        line.offer(step(&number.to_string(), 1), at(1), parcels(1));
    }
    let progress = line.progress(at(1));
    assert_eq!(progress.dropped, 1);
    assert_eq!(usize::try_from(progress.backlog), Ok(MOST_WAITING));
}

#[test]
fn whoever_asks_for_much_displaces_only_their_own_notices() {
    let mut line = line();
    let other = Offered {
        requester: "bob",
        ..step("bob's", 1)
    };
    line.offer(other, at(1), vec![to("bob")]);
    for number in 0..2 * MOST_WAITING {
        line.offer(step(&number.to_string(), 2), at(2), parcels(1));
    }
    let (_, first) = line.next(at(3), |_| true).expect("a message");
    assert_eq!(first.to, to("bob").to);
}

#[test]
fn what_waits_is_bounded_by_its_size_too() {
    let mut line = line();
    for number in 0..10 {
        let large = Offered {
            bytes: MOST_BYTES / 4,
            ..step(&"abcdefghij"[number..=number], 1)
        };
        line.offer(large, at(1), parcels(1));
    }
    assert_eq!(line.backlog(), 4);
    (0..4).for_each(|_| delivers(&mut line, 2));
    assert_eq!((line.backlog(), line.bytes), (0, 0));
}

#[test]
fn the_message_that_is_on_its_way_is_not_taken_for_another_one() {
    let mut line = line();
    offered(&mut line, &[("on its way", 1), ("given up", 2)]);
    let number = next(&mut line, 3).expect("one");
    for number in 2..=MOST_WAITING {
        line.offer(step(&number.to_string(), 3), at(3), parcels(1));
    }
    line.delivered(number, at(3));
    let progress = line.progress(at(3));
    assert_eq!(progress.dropped, 1);
    assert_eq!(usize::try_from(progress.backlog), Ok(MOST_WAITING - 1));
    assert_eq!(progress.oldest_waiting, Some(at(3)));
}

#[test]
fn a_step_to_many_people_takes_the_place_of_many() {
    let mut line = line();
    offered(&mut line, &[("first", 1), ("second", 2)]);
    line.offer(step("to many", 3), at(3), parcels(MOST_WAITING - 1));
    let progress = line.progress(at(3));
    assert_eq!(progress.dropped, 1);
    assert_eq!(usize::try_from(progress.backlog), Ok(MOST_WAITING));
}

#[test]
fn a_status_lists_no_more_than_its_schema_allows() {
    let mut line = line();
    for number in 0..MOST_LISTED + 10 {
        line.offer(step(&number.to_string(), 1), at(1), parcels(1));
        delivers(&mut line, 1);
        assert!(line.progress(at(1)).told.len() <= MOST_LISTED);
    }
    assert_eq!(line.told_until(), at(1), "the oldest of them count as told");
}

#[test]
fn a_receiver_fails_since_the_first_of_the_failures_in_a_row() {
    let mut line = line();
    offered(&mut line, &[("a", 0)]);
    let number = next(&mut line, 10).expect("a message");
    line.failed(number, "refused", at(10));
    line.failed(number, "refused again", at(20));
    assert_eq!(line.delivery().failing_since, Some(at(10)));
    let error = line.delivery().last_error.expect("an error");
    assert_eq!(
        (error.at.0, error.message.as_str()),
        (at(20), "refused again")
    );
    line.delivered(number, at(21));
    assert_eq!(line.delivery(), Delivery::default());
}
