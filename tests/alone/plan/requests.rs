//! What holds a request up, what refuses it, and what becomes of it then.

use jiff::SignedDuration;
use keyloan::api::*;
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::effect::{Effect, Plan};
use keyloan::plan::grant::plan;
use keyloan::plan::observed::{LinkSeen, Place, Usage};
use rstest::rstest;

use super::executor::fail_to_issue;
use super::world::*;

const DAY: i64 = 24 * 60;

/// (what is amiss) -> reason, phase, whether a person has to do something. Nothing is asked of 1Password.
#[rstest]
#[case::nobody_knows_who_asks(|w: &mut World| w.grant().spec.requester = None, "RequesterUnknown", Phase::Failed, true)]
#[case::no_such_integration(|w: &mut World| w.seen.integration = None, "IntegrationNotFound", Phase::Failed, true)]
#[case::suspended(|w: &mut World| w.integration().spec.suspend = true, "IntegrationSuspended", Phase::Pending, false)]
#[case::not_looked_at(|w: &mut World| w.integration().status = None, "IntegrationNotReady", Phase::Pending, false)]
#[case::not_ready(|w: &mut World| {
    w.integration().status.as_mut().expect("a status").conditions = vec![ready("False", "TokenInvalid")];
}, "IntegrationNotReady", Phase::Pending, false)]
#[case::not_discovered(|w: &mut World| w.integration_seen().inventory = None, "IntegrationNotReady", Phase::Pending, false)]
#[case::throttled(|w: &mut World| w.integration_seen().throttled_until = Some(at(3)), "OnePasswordThrottled", Phase::Pending, false)]
#[case::blocked(World::block_alice, "Blocked", Phase::Failed, true)]
#[case::blocked_by_group(|w: &mut World| w.integration().spec.limits = Some(IntegrationLimits {
    blocked: vec![Person { kind: PersonKind::Group, name: "engineering".into() }],
    ..IntegrationLimits::default()
}), "Blocked", Phase::Failed, true)]
#[case::secrets_out_of_reach(|w: &mut World| w.seen.link = LinkSeen::OutOfReach, "NoPlaceForLink", Phase::Failed, true)]
#[case::namespace_unknown(|w: &mut World| {
    w.flow().spec.namespaces = FlowNamespaces { from: FromNamespaces::Selector, selector: Some(Default::default()) };
    w.seen.namespace_labels.clear();
}, "NoFlow", Phase::Pending, false)]
#[case::flow_suspended(|w: &mut World| w.flow().spec.suspend = true, "NoFlowCoversRequest", Phase::Failed, true)]
fn a_request_waits_or_fails_and_says_why(
    #[case] amiss: fn(&mut World),
    #[case] why: &str,
    #[case] phase: Phase,
    #[case] person_needed: bool,
) {
    let plan = World::asked().with(amiss).plan_at(1);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACCEPTED), why);
    assert_eq!(stalled(&plan), person_needed);
    assert_eq!(plan.status.and_then(|s| s.phase), Some(phase));
}

/// What is applied together with a request may become known after it: (what is not there yet, the reason that is given).
#[rstest]
#[case::the_flow(|w: &mut World| w.seen.flows.clear(), "NoFlow")]
#[case::the_integration(|w: &mut World| w.seen.integration = None, "IntegrationNotFound")]
fn what_is_applied_together_may_come_in_any_order(
    #[case] missing: fn(&mut World),
    #[case] why: &str,
) {
    let second = |seconds| {
        let after = SignedDuration::from_secs(seconds);
        at(0).checked_add(after).expect("in range")
    };
    let world = World::asked().with(missing);
    let phase = |plan: &Plan| plan.status.as_ref().and_then(|s| s.phase);
    // The API server's clock may be ahead.
    for now in [-4, 0, 4] {
        let early = plan(&world.seen, second(now));
        assert_eq!(reason(&early, ACCEPTED), why);
        assert_eq!(
            (phase(&early), stalled(&early)),
            (Some(Phase::Pending), false)
        );
        assert_eq!(early.wake, Some(second(5)));
    }
    for now in [-5, 5] {
        let late = plan(&world.seen, second(now));
        assert_eq!(reason(&late, ACCEPTED), why);
        assert_eq!((phase(&late), stalled(&late)), (Some(Phase::Failed), true));
    }
    let mut told = world;
    told.grant().status = plan(&told.seen, second(5)).status;
    let again = plan(&told.seen, second(3));
    assert_eq!(phase(&again), Some(Phase::Failed), "it is not taken back");
}

#[test]
fn what_is_mended_in_time_is_granted() {
    let world = World::asked().with(|w| w.seen.flows.clear()).settled(0);
    let mended = world.with(|w| w.seen.flows = World::asked().seen.flows);
    issued(&mended.plan_at(60));
}

#[test]
fn a_throttled_request_is_looked_at_again_when_the_wait_is_over() {
    let world = World::asked().with(|w| w.integration_seen().throttled_until = Some(at(3)));
    assert_eq!(world.plan_at(0).wake, Some(at(3)));
    issued(&world.plan_at(3));
}

/// (active, pending) against limits of 2 and 3.
#[rstest]
#[case(0, 0, true)]
#[case(1, 2, true)]
#[case(2, 0, false)]
#[case(0, 3, false)]
#[case(9, 9, false)]
fn nobody_has_more_by_a_flow_than_it_allows(
    #[case] active: u32,
    #[case] pending: u32,
    #[case] granted: bool,
) {
    let world = World::asked().with(|w| {
        w.flow().spec.limits = FlowLimits {
            active_per_requester: 2,
            pending_per_requester: 3,
        };
        let usage = Usage {
            active,
            pending,
            next_over: None,
        };
        w.seen.usage = [("flow-oncall".to_owned(), usage)].into();
    });
    let plan = world.plan_at(0);
    assert_eq!(plan.effect.is_some(), granted);
    if !granted {
        assert_eq!(reason(&plan, ACCEPTED), "LimitReached");
        assert!(!stalled(&plan), "it goes on by itself when a loan ends");
    }
}

/// (state of a loan that began at 0, with a link of an hour) (minute) -> the last minute until
/// which it has its place.
#[rstest]
#[case::it_runs(World::lent(), 20, Some(240))]
#[case::it_is_not_renewed(World::lent_with(|w| w.flow().spec.grant.renewal = Renewal::Never), 20, Some(60))]
#[case::it_was_ended(World::lent().with(World::block_alice).settled(20), 59, Some(60))]
#[case::its_link_has_ended_too(World::lent().with(World::block_alice).settled(20), 60, None)]
#[case::it_was_deleted(deleted_at(20), 59, Some(60))]
#[case::it_was_deleted_and_its_link_has_ended(deleted_at(20), 60, None)]
#[case::its_only_link_was_lost(lost().with(World::block_alice).settled(5), 60, Some(61))]
#[case::it_was_refused(refused(), 1, None)]
fn a_loan_has_its_place_as_long_as_a_link_of_it_may_open(
    #[case] world: World,
    #[case] minute: i64,
    #[case] until: Option<i64>,
) {
    let counted = usage_by(&world, minute);
    assert_eq!(counted.active, u32::from(until.is_some()));
    assert_eq!(counted.next_over, until.map(at));
}

/// Its end changes its record, and so wakes who waits.
#[test]
fn a_loan_whose_end_is_not_written_yet_has_its_place() {
    let usage = usage_by(&World::lent(), 240);
    assert_eq!((usage.active_at(at(240)), usage.next_over), (1, None));
}

/// Who deletes a request and makes it again under its name would otherwise have two links at a time.
#[test]
fn what_was_deleted_and_is_asked_for_again_waits_until_its_link_is_over() {
    let again = World::asked().with(|w| {
        w.grant().metadata.uid = Some("uid-of-the-second".into());
        w.grant().metadata.creation_timestamp = Some(Time(at(21)));
        w.seen.checked.insert("uid-of-the-second".into());
        w.flow().spec.limits.active_per_requester = 1;
        w.seen.usage = [("flow-oncall".to_owned(), usage_by(&deleted_at(20), 21))].into();
    });
    let plan = again.plan_at(21);
    assert_eq!(plan.effect, None);
    let message = "flow \"oncall\": you have reached this flow's limit of 1 active loan. An ended or deleted loan counts while one of its links may still open; the next of them ends by 2026-11-23T11:00:00Z";
    assert_eq!(
        condition(&plan, ACCEPTED),
        Some(("False", "LimitReached", message))
    );
    assert_eq!(plan.wake, Some(at(60)), "nothing else tells of that");
    // What was seen may be a moment older than the time for which is planned.
    issued(&again.plan_at(60));
}

/// Another of her loans may still be counted when one of them is over.
#[test]
fn a_request_that_waits_for_a_place_is_not_woken_by_a_loan_that_is_over_already() {
    let world = World::asked().with(|w| {
        w.flow().spec.limits.active_per_requester = 1;
        let usage = Usage {
            active: 3,
            pending: 0,
            next_over: Some(at(10)),
        };
        w.seen.usage = [("flow-oncall".to_owned(), usage)].into();
    });
    assert_eq!(world.plan_at(9).wake, Some(at(10)));
    let plan = world.plan_at(10);
    let message = "flow \"oncall\": you have reached this flow's limit of 1 active loan. An ended or deleted loan counts while one of its links may still open";
    assert_eq!(
        condition(&plan, ACCEPTED),
        Some(("False", "LimitReached", message))
    );
    assert_eq!(plan.wake, Some(at(DAY)));
}

#[rstest]
#[case::one(
    1,
    "flow \"oncall\": you have reached this flow's limit of 1 pending request"
)]
#[case::two(
    2,
    "flow \"oncall\": you have reached this flow's limit of 2 pending requests"
)]
fn the_number_of_requests_that_may_wait_is_stated(#[case] most: u32, #[case] message: &str) {
    let world = World::asked().with(|w| {
        w.flow().spec.limits.pending_per_requester = most;
        let usage = Usage {
            pending: most,
            ..Usage::default()
        };
        w.seen.usage = [("flow-oncall".to_owned(), usage)].into();
    });
    assert_eq!(
        condition(&world.plan_at(0), ACCEPTED),
        Some(("False", "LimitReached", message))
    );
}

/// Alice's usage of a flow through which she had this loan.
fn usage_by(world: &World, minute: i64) -> Usage {
    let mut usage = Usage::default();
    let record = world.seen.record.as_ref().expect("a record");
    usage.count(Place::of(&record.spec).expect("a loan"), at(minute));
    usage
}

/// The loan ran since 0, and alice deletes it.
fn deleted_at(minute: i64) -> World {
    World::lent()
        .settled(minute)
        .with(|w| w.seen.grant = None)
        .settled(minute)
}

fn lost() -> World {
    failed_by(Failure::Unavailable)
}

fn refused() -> World {
    failed_by(Failure::Refused).settled(0)
}

/// The first link was tried at 0.
fn failed_by(failure: Failure) -> World {
    let world = World::asked();
    let plan = world.plan_at(0);
    World {
        seen: fail_to_issue(issued(&plan), world.seen, failure, at(0)),
    }
}

fn closed_until_tuesday(world: &mut World) {
    world.flow().spec.timeframe = Some(Timeframe {
        days: vec![Weekday::Tue],
        from: TimeOfDay("09:00".into()),
        to: TimeOfDay("18:00".into()),
        time_zone: "Europe/Berlin".into(),
    });
}

#[test]
fn outside_the_timeframe_a_request_is_refused_at_once_and_for_good() {
    let world = World::asked().with(closed_until_tuesday);
    let plan = world.plan_at(0);
    let message = "flow \"oncall\": the flow's timeframe is closed until 2026-11-24T08:00:00Z; then a pending request continues, and a failed one has to be made again";
    assert_eq!(
        condition(&plan, ACCEPTED),
        Some(("False", "OutsideTimeframe", message))
    );
    assert!(stalled(&plan));

    let world = world.settled(0);
    let open = 23 * 60;
    let later = world.plan_at(open);
    assert_eq!(later.effect, None, "also when the frame has opened");
    assert_eq!(
        condition(&later, ACCEPTED),
        Some(("False", "OutsideTimeframe", message))
    );
    issued(&World::asked().with(closed_until_tuesday).plan_at(open));
}

#[test]
fn a_timeframe_that_cannot_be_read_lends_nothing_and_says_so() {
    let world = World::asked().with(closed_until_tuesday).with(|w| {
        let frame = w.flow().spec.timeframe.as_mut().expect("a timeframe");
        frame.time_zone = "Europe/Atlantis".into();
    });
    let plan = world.plan_at(0);
    assert_eq!(plan.effect, None);
    let message =
        r#"flow "oncall": the flow's timeframe is invalid: unknown time zone "Europe/Atlantis""#;
    assert_eq!(
        condition(&plan, ACCEPTED),
        Some(("False", "NoFlowCoversRequest", message))
    );
}

/// Minutes after which a request lapses that nothing grants; it was made at 0.
#[rstest]
#[case::after_a_day(
    None,
    DAY,
    "the request could not be granted by 2026-11-24T10:00:00Z; request again"
)]
#[case::at_not_after(
    Some(90),
    90,
    "the loan could not start before 2026-11-23T11:30:00Z (notAfter); request again"
)]
#[case::not_later_than_a_day(Some(3 * DAY), DAY, "the request could not be granted by 2026-11-24T10:00:00Z; request again")]
fn a_request_lapses(#[case] not_after: Option<i64>, #[case] lapses: i64, #[case] message: &str) {
    let world = World::asked().with(|w| {
        w.grant().spec.not_after = not_after.map(|m| Time(at(m)));
        w.integration().spec.suspend = true;
    });
    let before = world.plan_at(lapses - 1);
    assert_eq!(reason(&before, ACCEPTED), "IntegrationSuspended");
    assert_eq!(before.wake, Some(at(lapses)));

    let plan = world.plan_at(lapses);
    assert_eq!(
        condition(&plan, ACCEPTED),
        Some(("False", "Lapsed", message))
    );
    assert_eq!(plan.wake, None, "nothing is left to wait for");
    assert!(stalled(&plan));
    assert_eq!(
        plan.status.as_ref().and_then(|s| s.phase),
        Some(Phase::Lapsed)
    );

    let mended = world
        .settled(lapses)
        .with(|w| w.integration().spec.suspend = false);
    assert_eq!(mended.plan_at(lapses + 1).effect, None, "it stays lapsed");
}

/// A tool makes a request from Git again after its time: it lends nothing, and nobody can mend it.
#[rstest]
#[case::approved_by_nobody(|_: &mut World| {})]
#[case::while_the_integration_is_suspended(|w: &mut World| w.integration().spec.suspend = true)]
#[case::without_a_flow(|w: &mut World| w.seen.flows.clear())]
#[case::with_an_approval_missing(|w: &mut World| w.flow().spec.approval = approval(ApprovalMode::AllOf, &[1]))]
fn a_request_that_was_void_when_it_was_made_lapses_without_stalling(
    #[case] change: fn(&mut World),
) {
    let made_at = |minute: i64| {
        let world = World::asked().with(|w| {
            w.grant().spec.not_after = Some(Time(at(-60)));
            w.grant().metadata.creation_timestamp = Some(Time(at(minute)));
        });
        world.with(change)
    };
    let void = made_at(0);
    let plan = void.plan_at(1);
    assert_eq!(plan.effect, None);
    let said = condition(&plan, ACCEPTED).expect("Accepted");
    assert_eq!((said.0, said.1), ("False", "Lapsed"));
    let phase = plan.status.as_ref().and_then(|s| s.phase);
    assert_eq!(phase, Some(Phase::Lapsed));
    assert!(!stalled(&plan), "{:?}", condition(&plan, STALLED));
    let tidied = void.settled(1).plan_at(1 + 7 * DAY);
    assert_eq!(tidied.effect, Some(Effect::DeleteGrant));

    let lapsed = made_at(-61).plan_at(1);
    assert!(stalled(&lapsed), "a request in its time that nobody served");
}

#[test]
fn nothing_starts_that_could_be_answered_only_after_not_after() {
    let world = World::asked().with(|w| w.grant().spec.not_after = Some(Time(at(30))));
    issued(&world.plan_at(28));
    let plan = world.plan_at(29);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "Lapsed");
}

/// A tool that re-creates a deleted grant with `notAfter` would otherwise request again in time.
#[rstest]
#[case::a_week_after_it_lapsed(None, 8 * DAY)]
#[case::not_before_not_after(Some(30 * DAY), 30 * DAY)]
fn a_request_that_came_to_nothing_is_tidied_away(
    #[case] not_after: Option<i64>,
    #[case] deleted: i64,
) {
    let world = World::asked().with(|w| {
        w.seen.flows.clear();
        w.grant().spec.not_after = not_after.map(|m| Time(at(m)));
    });
    let world = world.settled(DAY);
    assert_eq!(world.plan_at(DAY).wake, Some(at(deleted)));
    assert_eq!(world.plan_at(deleted - 1).effect, None);
    assert_eq!(world.plan_at(deleted).effect, Some(Effect::DeleteGrant));
}

#[test]
fn a_request_that_is_being_deleted_is_left_alone() {
    let world = World::asked().with(|w| w.grant().metadata.deletion_timestamp = Some(Time(at(0))));
    assert_eq!(world.plan_at(0), keyloan::plan::effect::Plan::default());
}

#[test]
fn a_loan_whose_record_was_deleted_loses_its_secret_and_is_not_lent_again() {
    let world = World::lent().settled(1).with(|w| w.seen.record = None);
    assert_eq!(world.plan_at(2).effect, Some(Effect::DeleteLink));
    let world = world.one_step(2);
    let plan = world.plan_at(2);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACCEPTED), "RecordMissing");
    assert!(stalled(&plan));
    let later = world.settled(2).plan_at(3);
    assert_eq!(
        later.effect, None,
        "and not when its status has forgotten the record"
    );
    assert_eq!(reason(&later, ACCEPTED), "RecordMissing");
}

/// (how far the loan was when its record went) -> until when a link may still open, in minutes. Each was granted at 0 for
/// four hours.
#[rstest]
#[case::it_ran(World::lent().settled(1), Some(240))]
#[case::it_could_not_be_renewed(World::lent_with(|w| w.flow().spec.grant.renewal = Renewal::Never).settled(1), Some(60))]
#[case::its_first_link_was_being_made(issuing(), Some(2 + 1 + 60))]
#[case::it_had_ended_with_a_residual(World::lent().with(World::block_alice).settled(1), Some(60))]
#[case::it_had_ended(World::ended(), None)]
fn a_loan_whose_record_was_deleted_says_until_when_a_link_may_open(
    #[case] world: World,
    #[case] until: Option<i64>,
) {
    let minute = until.map_or(241, |_| 2);
    let gone = world
        .with(|w| w.seen.record = None)
        .with(|w| w.seen.link = LinkSeen::Absent);
    let plan = gone.plan_at(minute);
    let status = plan.status.as_ref().expect("a status");
    let residual = until.map(|m| Time(at(m)));
    assert_eq!(status.residual_until, residual);
    let (_, _, message) = condition(&plan, ACCEPTED).expect("said");
    assert_eq!(
        message.contains("may still open until"),
        until.is_some(),
        "{message}"
    );
    let later = gone.settled(minute);
    let status = later.plan_at(minute + 1).status.expect("a status");
    assert_eq!(status.residual_until, residual, "it stays said");
}

#[test]
fn a_loan_whose_record_was_deleted_after_its_links_have_ended_says_of_none_that_it_may_open() {
    let never = |w: &mut World| w.flow().spec.grant.renewal = Renewal::Never;
    let gone = World::lent_with(never)
        .settled(1)
        .with(|w| w.seen.record = None)
        .with(|w| w.seen.link = LinkSeen::Absent);
    let until = |minute| gone.plan_at(minute).status.and_then(|s| s.residual_until);
    assert_eq!(until(59), Some(Time(at(60))));
    assert_eq!(until(60), None);
}

/// The intent of the first link is written, and so is that in the status.
fn issuing() -> World {
    let world = World::asked();
    let plan = world.plan_at(0);
    let seen = fail_to_issue(issued(&plan), world.seen, Failure::Unavailable, at(0));
    World { seen }.one_step(0)
}

#[test]
fn a_secret_of_somebody_elses_in_the_links_place_stalls_the_request() {
    let plan = World::asked()
        .with(|w| w.seen.link = LinkSeen::Foreign)
        .plan_at(0);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "LinkSecretTaken");
    assert!(stalled(&plan));
}

/// (how the attempt failed) -> reason, seconds to the next one, whether a person has to do something.
#[rstest]
#[case(Failure::Unavailable, "OnePasswordUnavailable", 5, false)]
#[case(Failure::NotKept("403 Forbidden".into()), "LinkNotKept", 5, false)]
#[case(no_place(true), "NoPlaceForLink", 5, true)]
#[case(no_place(false), "NoPlaceForLink", 5, false)]
#[case(no_record(true), "RecordRefused", 5, true)]
#[case(no_record(false), "RecordRefused", 5, false)]
#[case(Failure::NotConnected, "IntegrationNotReady", 1, false)]
#[case(Failure::LimitReached, "LimitReached", 5, false)]
#[case(Failure::ItemDiffers, "ItemDiffers", 2, false)]
#[case(Failure::RateLimited { until: at(7) }, "OnePasswordThrottled", 7 * 60, false)]
#[case(Failure::Forbidden, "OnePasswordForbidden", 60, true)]
#[case(Failure::NotFound, "OnePasswordItemGone", 60, true)]
#[case(Failure::Archived, "ItemArchived", 60, true)]
#[case(Failure::SecretTaken(planted()), "LinkSecretTaken", 600, true)]
#[case(Failure::Unauthorized, "OnePasswordUnauthorized", 5, true)]
#[case(Failure::Refused, "RefusedByPolicy", 3600, true)]
#[case(Failure::OpensOnce, "ViewOnceRequired", 3600, true)]
fn a_failed_attempt_is_explained_and_repeated_in_its_time(
    #[case] failure: Failure,
    #[case] why: &str,
    #[case] seconds: i64,
    #[case] person_needed: bool,
) {
    let world = World::asked().with(|w| w.failed(0, failure));
    let plan = world.plan_at(0);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), why);
    assert_eq!(stalled(&plan), person_needed);
    let wake = plan.wake.expect("a time to look again");
    assert_eq!(wake.duration_since(at(0)).as_secs(), seconds);
    assert!(
        keyloan::plan::grant::plan(&world.seen, wake)
            .effect
            .is_some()
    );
}
