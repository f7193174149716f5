//! When the links of a loan are issued, and what is made of an interrupted one.

use jiff::{SignedDuration, Timestamp};
use keyloan::api::*;
use keyloan::plan::delivery::closing::{Closing, Outcome};
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::delivery::links::{CALL_TIMEOUT, Links};
use keyloan::plan::delivery::share_link::length;
use keyloan::plan::effect::Effect;
use keyloan::plan::observed::LinkSeen;
use rstest::rstest;

use super::executor::{Reached, fail_to_issue, issue_link};
use super::world::*;

/// Minutes since the first link, which opens for an hour, of a loan for four hours; asked when, and looked at when.
#[rstest]
#[case::not_asked(None, 30, false)]
#[case::not_asked_and_ended(None, 70, false)]
#[case::asked_too_early(Some(5), 30, false)]
#[case::an_early_wish_was_answered_by_the_link_that_was_there(Some(5), 50, false)]
#[case::also_when_that_has_ended(Some(5), 70, false)]
#[case::asked_just_before_the_margin(Some(49), 49, false)]
#[case::asked_within_the_margin(Some(50), 50, true)]
#[case::asked_when_it_has_ended(Some(65), 66, true)]
#[case::asked_long_after_it_has_ended(Some(170), 170, true)]
#[case::a_time_to_come_is_not_yet_asked(Some(90), 70, false)]
#[case::no_time_left_for_another_hour(Some(180), 180, false)]
fn the_next_link_is_issued_when_it_is_asked_for_and_the_current_one_is_about_to_end(
    #[case] asked: Option<i64>,
    #[case] now: i64,
    #[case] issued: bool,
) {
    let world = World::lent().with(|w| asked.into_iter().for_each(|m| w.asks_to_renew(m)));
    assert_eq!(world.plan_at(now).effect.is_some(), issued);
}

#[test]
fn a_future_wish_is_looked_at_again_when_its_time_has_come() {
    let future = World::lent().with(|w| w.asks_to_renew(55));
    assert_eq!(future.plan_at(52).wake, Some(at(55)));
}

#[test]
fn one_wish_is_one_link() {
    let world = World::lent().with(|w| w.asks_to_renew(55)).settled(55);
    let record = world.seen.record.as_ref().expect("a record");
    assert_eq!(record.spec.links.len(), 2);
    assert_eq!(world.seen.link, secret(2, 55));
    for minute in [56, 105, 115, 130] {
        assert_eq!(world.plan_at(minute).effect, None, "minute {minute}");
    }
}

/// Times are stored in whole seconds, but asked and issued within them.
#[rstest]
#[case::asked_at_the_second("2026-11-23T10:55:00Z")]
#[case::asked_within_the_second("2026-11-23T10:55:00.7Z")]
fn a_wish_that_is_answered_in_the_same_second_is_served(#[case] asked: &str) {
    let now = t("2026-11-23T10:55:00.9Z");
    let mut world = World::lent();
    let annotation = (RENEW_ANNOTATION.to_owned(), asked.to_owned());
    world.grant().metadata.annotations = Some([annotation].into());
    let plan = keyloan::plan::grant::plan(&world.seen, now);
    assert_eq!(issued(&plan).sequence, 2);
    let world = World {
        seen: super::executor::settle(world.seen, now).expect("it comes to rest"),
    };
    assert_eq!(world.plan_at(110).effect, None, "no third link, unasked");
}

/// The annotation may be part of the request from the beginning.
#[rstest]
#[case::in_the_second_of_the_link(0, None)]
#[case::a_second_later(1, Some(2))]
fn the_first_link_answers_the_wishes_of_its_second_also_when_its_secret_is_gone(
    #[case] second: i64,
    #[case] next: Option<u32>,
) {
    let mut world = World::lent().with(|w| w.seen.link = LinkSeen::Absent);
    world.asks_at(at(0) + SignedDuration::from_secs(second));
    let plan = world.plan_at(5);
    match next {
        Some(sequence) => assert_eq!(issued(&plan).sequence, sequence),
        None => assert_eq!(reason(&plan, ACTIVE), "LinkSecretMissing"),
    }
    assert_eq!(plan.effect.is_some(), next.is_some());
}

#[test]
fn a_further_link_says_which_version_was_lent_and_is_not_the_first() {
    let plan = World::lent().with(|w| w.asks_to_renew(55)).plan_at(55);
    let next = issued(&plan);
    assert_eq!((next.sequence, next.first, next.lost), (2, false, None));
    assert_eq!(next.item_version, Some(1));
    let first = World::asked().plan_at(0);
    let first = issued(&first);
    assert_eq!((first.sequence, first.first, first.lost), (1, true, None));
    assert_eq!(first.item_version, None);
}

/// A loan of 25 hours with links of a day: minutes since its start -> how long the next link may live.
#[rstest]
#[case::nearly_a_day_in(23 * 60 + 50, Some(LinkLifetime::OneHour))]
#[case::one_hour_and_the_call_still_fit(24 * 60 - 1, Some(LinkLifetime::OneHour))]
#[case::the_call_might_take_too_long(24 * 60, None)]
fn a_further_link_ends_before_the_loan(#[case] now: i64, #[case] lifetime: Option<LinkLifetime>) {
    let world = World::lent_with(|w| {
        w.grant().spec.duration = Some(span("25h"));
        w.flow().spec.grant.max_duration = span("2d");
        w.flow().spec.grant.link_lifetime = LinkLifetime::OneDay;
    });
    let world = world.with(|w| w.asks_to_renew(now));
    let plan = world.plan_at(now);
    match lifetime {
        Some(lifetime) => assert_eq!(issued(&plan).opens_for, length(lifetime)),
        None => assert_eq!(plan.effect, None),
    }
}

#[rstest]
#[case::integration_gone(|w: &mut World| w.seen.integration = None)]
#[case::integration_replaced(|w: &mut World| w.integration().metadata.uid = Some("another".into()))]
#[case::another_account(|w: &mut World| w.integration().status.as_mut().expect("a status").account = Some("other@1password.com".into()))]
#[case::integration_suspended(|w: &mut World| w.integration().spec.suspend = true)]
#[case::flow_suspended(|w: &mut World| w.flow().spec.suspend = true)]
#[case::flow_gone(|w: &mut World| w.seen.flows.clear())]
#[case::flow_replaced(|w: &mut World| w.flow().metadata.uid = Some("another".into()))]
fn no_further_link_is_issued_where_lending_is_stopped_but_the_loan_goes_on(
    #[case] stop: fn(&mut World),
) {
    let world = World::lent().with(stop).with(|w| w.asks_to_renew(61));
    assert_eq!(reason(&world.plan_at(30), ACTIVE), "LinkIssued");
    let plan = world.plan_at(61);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "RenewalStopped");

    let interrupted = interrupted_at(Reached::Intent).with(stop);
    assert_eq!(interrupted.plan_at(1).effect, None, "nor a first one");
}

#[test]
fn a_suspension_is_not_undone_by_deleting_the_flow() {
    let world = World::lent().with(|w| w.flow().spec.suspend = true);
    let world = world.settled(20).with(|w| w.asks_to_renew(61));
    assert_eq!(reason(&world.plan_at(61), ACTIVE), "RenewalStopped");
    let deleted = world.with(|w| w.seen.flows.clear());
    let plan = deleted.plan_at(61);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "RenewalStopped");
    assert_eq!(
        deleted.plan_at(240).effect,
        Some(Effect::DeleteLink),
        "it ends in its time"
    );
}

#[test]
fn a_throttled_renewal_waits() {
    let world = World::lent().with(|w| {
        w.asks_to_renew(61);
        w.integration_seen().throttled_until = Some(at(63));
    });
    let plan = world.plan_at(61);
    assert_eq!((plan.effect.clone(), plan.wake), (None, Some(at(63))));
    assert_eq!(reason(&plan, ACTIVE), "OnePasswordThrottled");
    issued(&world.plan_at(63));
}

// The Secret.

#[test]
fn a_secret_deleted_by_hand_is_never_issued_anew_unasked() {
    let world = World::lent().with(|w| w.seen.link = LinkSeen::Absent);
    let plan = world.plan_at(10);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "LinkSecretMissing");
    let asked = world.with(|w| w.asks_to_renew(11));
    assert_eq!(issued(&asked.plan_at(11)).sequence, 2);
}

/// A person who keeps deleting the Secret and asking again would otherwise get a share each time.
#[test]
fn a_wish_that_comes_within_a_minute_of_the_last_link_waits() {
    let second = |s| at(0) + SignedDuration::from_secs(s);
    let mut world = World::lent().with(|w| w.seen.link = LinkSeen::Absent);
    world.asks_at(second(2));
    let plan = keyloan::plan::grant::plan(&world.seen, second(2));
    assert_eq!((plan.effect, plan.wake), (None, Some(at(1))));
    issued(&world.plan_at(1));

    let deleted_again = world.settled(1).with(|w| w.seen.link = LinkSeen::Absent);
    let asked = deleted_again.with(|w| w.asks_at(second(61)));
    let plan = keyloan::plan::grant::plan(&asked.seen, second(61));
    assert_eq!((plan.effect, plan.wake), (None, Some(at(2))));
    assert_eq!(issued(&asked.plan_at(2)).sequence, 3);
}

#[test]
fn a_secret_with_another_link_is_not_the_current_one() {
    let world = World::lent().with(|w| w.seen.link = secret(7, 0));
    assert_eq!(reason(&world.plan_at(10), ACTIVE), "LinkSecretMissing");
    let asked = world.with(|w| w.asks_to_renew(11));
    assert_eq!(issued(&asked.plan_at(11)).sequence, 2);
}

#[test]
fn a_secret_of_somebody_elses_stalls_the_loan_and_nothing_is_written_over_it() {
    let world = World::lent().with(|w| w.seen.link = LinkSeen::Foreign);
    for world in [world.clone(), world.with(|w| w.asks_to_renew(61))] {
        let plan = world.plan_at(61);
        assert_eq!(plan.effect, None);
        assert_eq!(reason(&plan, ACTIVE), "LinkSecretTaken");
        assert!(stalled(&plan));
    }
}

#[test]
fn a_loan_whose_links_namespace_is_out_of_reach_says_so_and_gets_no_further_link() {
    let world = World::lent().with(|w| w.seen.link = LinkSeen::OutOfReach);
    for world in [world.clone(), world.with(|w| w.asks_to_renew(61))] {
        let plan = world.plan_at(61);
        assert_eq!(plan.effect, None);
        assert_eq!(reason(&plan, ACTIVE), "NoPlaceForLink");
        assert!(stalled(&plan));
    }
}

// Interrupted: an intent found open.

/// The first link, as far as the executor got before it was interrupted at 0.
fn interrupted_at(reached: Reached) -> World {
    let world = World::asked();
    let plan = world.plan_at(0);
    let seen = issue_link(issued(&plan), world.seen, reached, at(0));
    World { seen }
}

#[rstest]
#[case::before_the_place(Reached::Reads, 1)]
#[case::before_the_intent(Reached::Place, 1)]
#[case::with_the_intent_written(Reached::Intent, 2)]
#[case::with_the_secret_written(Reached::Secret, 1)]
#[case::with_the_intent_closed(Reached::Closed, 1)]
fn an_interrupted_first_link_is_made_good(#[case] reached: Reached, #[case] sequence: u32) {
    let world = interrupted_at(reached).settled(1);
    let record = world.seen.record.clone().expect("a record");
    let last = record.spec.links.last().expect("a link");
    assert_eq!(
        (last.sequence, last.outcome),
        (sequence, Some(LinkOutcome::Issued))
    );
    assert!(matches!(world.seen.link, LinkSeen::Present { sequence: s, .. } if s == sequence));
    assert_eq!(reason(&world.plan_at(1), ACTIVE), "LinkIssued");
}

#[rstest]
#[case::before_the_place(Reached::Reads, 2)]
#[case::before_the_intent(Reached::Place, 2)]
#[case::with_the_intent_written(Reached::Intent, 3)]
#[case::with_the_secret_written(Reached::Secret, 2)]
#[case::with_the_intent_closed(Reached::Closed, 2)]
fn an_interrupted_further_link_is_made_good(#[case] reached: Reached, #[case] sequence: u32) {
    let world = World::lent().with(|w| w.asks_to_renew(55));
    let plan = world.plan_at(55);
    let seen = issue_link(issued(&plan), world.seen, reached, at(55));
    let world = World { seen }.settled(56);
    assert!(matches!(world.seen.link, LinkSeen::Present { sequence: s, .. } if s == sequence));
    assert_eq!(reason(&world.plan_at(56), ACTIVE), "LinkIssued");
}

/// A person who can write Secrets could otherwise extend a loan without limit, or hide how long a
/// link opens.
#[rstest]
#[case::long_after("2999-01-01T00:00:00Z")]
#[case::long_before("1999-01-01T00:00:00Z")]
fn what_a_secret_says_of_an_interrupted_link_is_believed_only_within_the_intent(
    #[case] issued_at: Timestamp,
) {
    let mut world = interrupted_at(Reached::Secret);
    world.seen.link = LinkSeen::Present {
        sequence: 1,
        issued_at,
        item_version: 99,
    };
    let record = world.seen.record.clone().expect("a record");
    let open = record.spec.links.last().expect("a link");
    let Some(Effect::FinishLink(Closing {
        outcome:
            Outcome::Issued {
                issued_at,
                expires_at,
                ..
            },
        ..
    })) = world.plan_at(1).effect
    else {
        panic!("it has to be finished");
    };
    assert!(issued_at >= open.intent_at.0 && issued_at <= open.intent_at.0 + CALL_TIMEOUT);
    assert_eq!(expires_at, issued_at + SignedDuration::from_hours(1));
    assert!(expires_at <= open.latest_end.0);
}

#[test]
fn an_interrupted_intent_whose_secret_is_there_only_has_to_be_finished() {
    let plan = interrupted_at(Reached::Secret).plan_at(1);
    let expected = Effect::FinishLink(Closing {
        sequence: 1,
        outcome: Outcome::Issued {
            issued_at: at(0),
            expires_at: at(60),
            item_version: 1,
        },
    });
    assert_eq!(plan.effect, Some(expected));
}

#[test]
fn an_interrupted_intent_without_its_secret_is_lost_and_the_next_link_issued_in_one_write() {
    let plan = interrupted_at(Reached::Intent).plan_at(1);
    let next = issued(&plan);
    assert_eq!((next.sequence, next.lost, next.first), (2, Some(1), false));
}

/// Where the API server takes no Secret, each try would be one more link that may open, three of them within a moment.
#[test]
fn a_link_that_the_api_server_did_not_take_is_not_followed_at_once() {
    let world = World::asked();
    let plan = world.plan_at(0);
    let seen = fail_to_issue(
        issued(&plan),
        world.seen,
        Failure::NotKept("403 Forbidden".into()),
        at(0),
    );
    let world = World { seen };
    let plan = world.plan_at(0);
    let again = at(0) + SignedDuration::from_secs(5);
    assert_eq!((plan.effect.clone(), plan.wake), (None, Some(again)));
    assert_eq!(reason(&plan, ACTIVE), "LinkNotKept");
    let plan = keyloan::plan::grant::plan(&world.seen, again);
    let next = issued(&plan);
    assert_eq!((next.sequence, next.lost), (2, Some(1)));
}

#[test]
fn an_interrupted_intent_with_somebody_elses_secret_stalls() {
    let world = interrupted_at(Reached::Intent).with(|w| w.seen.link = LinkSeen::Foreign);
    let plan = world.plan_at(1);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "LinkSecretTaken");
    assert!(stalled(&plan));
}

/// Each try is interrupted after the intent, or gets no answer; after the third nothing more is tried.
#[rstest]
#[case::interrupted(None)]
#[case::unanswered(Some(Failure::Unavailable))]
fn three_links_lost_in_a_row_stall_the_loan(#[case] failure: Option<Failure>) {
    let mut world = World::asked();
    for minute in [0, 10, 20] {
        let plan = world.plan_at(minute);
        let issue = issued(&plan);
        world.seen = match &failure {
            Some(failure) => fail_to_issue(issue, world.seen, failure.clone(), at(minute)),
            None => issue_link(issue, world.seen, Reached::Intent, at(minute)),
        };
    }
    let plan = world.plan_at(30);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "LinksLost");
    assert!(stalled(&plan));
}

#[test]
fn a_further_link_that_was_lost_three_times_is_tried_again_when_it_is_asked_for_again() {
    let mut world = World::lent().with(|w| w.asks_to_renew(61));
    for minute in [61, 71, 81] {
        let plan = world.plan_at(minute);
        world.seen = fail_to_issue(issued(&plan), world.seen, Failure::Unavailable, at(minute));
    }
    assert_eq!(reason(&world.plan_at(91), ACTIVE), "LinksLost");
    let asked = world.with(|w| w.asks_to_renew(92));
    assert_eq!(issued(&asked.plan_at(92)).sequence, 5);
}

#[test]
fn a_refused_link_is_not_a_lost_one() {
    let mut world = World::lent().with(|w| w.asks_to_renew(61));
    for minute in [61, 122] {
        let plan = world.plan_at(minute);
        world.seen = fail_to_issue(issued(&plan), world.seen, Failure::Refused, at(minute));
    }
    let record = world.seen.record.as_ref().expect("a record");
    assert_eq!(Links::of(&record.spec).lost_in_a_row(None), 0);
    let plan = world.plan_at(123);
    assert_eq!(plan.effect, None, "an hour has not passed");
    assert_eq!(reason(&plan, ACTIVE), "RefusedByPolicy");
    assert!(stalled(&plan));
}

#[test]
fn a_loan_whose_links_come_to_open_just_once_gets_no_further_one_and_runs_to_its_end() {
    let world = World::lent().with(|w| w.asks_to_renew(61));
    let plan = world.plan_at(61);
    let seen = fail_to_issue(issued(&plan), world.seen, Failure::OpensOnce, at(61));
    let world = World { seen };
    let plan = world.plan_at(62);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "ViewOnceRequired");
    assert!(stalled(&plan));
    assert_eq!(world.plan_at(240).effect, Some(Effect::DeleteLink));
}

#[test]
fn no_first_link_is_issued_after_not_after_also_when_it_was_interrupted_before() {
    let world = interrupted_at(Reached::Intent);
    let world = world.with(|w| w.grant().spec.not_after = Some(Time(at(30))));
    issued(&world.plan_at(28));
    let plan = world.plan_at(29);
    assert_eq!((plan.effect.clone(), plan.wake), (None, Some(at(30))));
    assert!(matches!(world.plan_at(30).effect, Some(Effect::EndLoan(_))));
}

#[test]
fn a_record_without_recipients_is_never_made_a_public_link() {
    let world = interrupted_at(Reached::Intent).with(|w| w.record().spec.terms.recipients.clear());
    let plan = world.plan_at(1);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "NoRecipient");
    assert!(stalled(&plan));
}

#[test]
fn a_record_takes_so_many_links_and_no_more() {
    let mut world = World::lent_with(|w| {
        w.grant().spec.duration = Some(span("365d"));
        w.flow().spec.grant.max_duration = span("365d");
    });
    let first = world.record().spec.links[0].clone();
    world.record().spec.links = (1..=2000)
        .map(|sequence| LinkRecord {
            sequence,
            ..first.clone()
        })
        .collect();
    world.asks_to_renew(61);
    let plan = world.plan_at(61);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "RenewalStopped");
}
