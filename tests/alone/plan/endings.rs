//! How loans end: first the Secret goes, then the end is written, then the traces, each in its time.

use std::sync::Arc;

use jiff::SignedDuration;
use keyloan::api::*;
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::delivery::links::CALL_TIMEOUT;
use keyloan::plan::effect::{Effect, EndLoan};
use keyloan::plan::ended_loan::history;
use keyloan::plan::loan::over_at;
use keyloan::plan::observed::LinkSeen;
use rstest::rstest;

use super::executor::{Reached, fail_to_delete, fail_to_issue, issue_link};
use super::statuses::lines;
use super::world::*;

const DAY: i64 = 24 * 60;

fn once(world: &mut World) {
    world.grant().spec.view_once = Some(true);
}

fn never_renewed(world: &mut World) {
    world.flow().spec.grant.renewal = Renewal::Never;
}

fn unchanged(_: &mut World) {}

/// The record was brought back by those who restore a backup.
fn restored(world: &mut World) {
    let record = world.seen.record.as_mut().expect("one");
    let label = (RESTORED_LABEL.to_owned(), "2026-11-24".to_owned());
    Arc::make_mut(record).metadata.labels = Some([label].into());
}

/// A loan for four hours, whose first link was issued at 0 for an hour: (asked for how) (what happens) at this minute
/// -> reason, and until when a link may still open.
#[rstest]
#[case::its_time_is_over(unchanged, unchanged, 240, EndReason::Expired, None)]
#[case::the_grant_is_gone(unchanged, |w: &mut World| w.seen.grant = None, 20, EndReason::Deleted, Some(60))]
#[case::the_grant_is_being_deleted(unchanged, |w: &mut World| w.grant().metadata.deletion_timestamp = Some(Time(at(20))), 20, EndReason::Deleted, Some(60))]
#[case::another_grant_of_the_same_name(unchanged, |w: &mut World| w.grant().metadata.uid = Some("another".into()), 20, EndReason::Deleted, Some(60))]
#[case::blocked(unchanged, World::block_alice, 20, EndReason::Blocked, Some(60))]
#[case::blocked_after_the_link_has_ended(
    unchanged,
    World::block_alice,
    70,
    EndReason::Blocked,
    None
)]
#[case::its_record_was_restored(unchanged, restored, 20, EndReason::Restored, Some(60))]
#[case::its_record_was_restored_and_the_grant_is_gone(unchanged, |w: &mut World| { restored(w); w.seen.grant = None; }, 20, EndReason::Restored, Some(60))]
#[case::the_item_changed(unchanged, |w: &mut World| w.infra().items[0].updated_at = at(15), 20, EndReason::ItemChanged, Some(60))]
#[case::the_fetched_item_has_another_version(unchanged, |w: &mut World| w.failed(20, Failure::ItemChanged), 20, EndReason::ItemChanged, Some(60))]
#[case::the_link_that_opens_once_has_ended(once, unchanged, 60, EndReason::LinkEnded, None)]
#[case::the_only_link_has_ended(never_renewed, unchanged, 60, EndReason::LinkEnded, None)]
fn a_loan_ends(
    #[case] asked: fn(&mut World),
    #[case] happens: fn(&mut World),
    #[case] minute: i64,
    #[case] why: EndReason,
    #[case] residual: Option<i64>,
) {
    let world = World::lent_with(asked);
    assert_eq!(world.plan_at(minute - 1).effect, None, "not before");
    let world = world.with(happens);
    assert_eq!(
        world.plan_at(minute).effect,
        Some(Effect::DeleteLink),
        "first the Secret goes"
    );
    let expected = EndLoan {
        end: EndRecord {
            reason: why,
            by: None,
            at: Time(at(minute)),
        },
        lost: None,
        residual_until: residual.map(|m| Time(at(m))),
        decision: None,
    };
    let world = world.one_step(minute);
    assert_eq!(ended(&world.plan_at(minute)), expected);
}

/// A backup may be older than records are kept.
#[test]
fn a_restored_record_is_kept_from_its_restore_on() {
    let mut world = World::lent();
    let record = Arc::make_mut(world.seen.record.as_mut().expect("one"));
    record.spec.end = Some(EndRecord {
        reason: EndReason::Expired,
        by: None,
        at: Time(at(240)),
    });
    record.metadata.creation_timestamp = Some(Time(at(200 * DAY)));
    let kept = |world: &World, days| {
        let record = world.seen.record.as_ref().expect("one");
        history(record, at(days * DAY)).is_some()
    };
    assert!(kept(&world, 89) && !kept(&world, 91));
    restored(&mut world);
    assert!(kept(&world, 289) && !kept(&world, 291));
}

#[test]
fn a_loan_ends_though_flow_and_integration_are_gone() {
    let world = World::lent().with(|w| {
        w.seen.flows.clear();
        w.seen.integration = None;
    });
    assert_eq!(world.plan_at(240).effect, Some(Effect::DeleteLink));
}

#[test]
fn somebody_elses_secret_is_not_deleted_and_does_not_keep_a_loan_alive() {
    let world = World::lent().with(|w| w.seen.link = LinkSeen::Foreign);
    let EndLoan { end, .. } = ended(&world.plan_at(240));
    assert_eq!(end.reason, EndReason::Expired);
}

/// The integration's namespace was taken off those that this install serves, and another install may serve it now.
#[test]
fn what_was_lent_where_nothing_is_served_any_more_runs_out_and_no_link_follows() {
    let world = World::lent().with(|w| w.seen.unserved = true);
    for world in [world.clone(), world.clone().with(|w| w.asks_to_renew(61))] {
        let plan = world.plan_at(61);
        assert_eq!((plan.effect, plan.status), (None, None));
        assert_eq!(plan.wake, Some(at(240)));
    }
    assert_eq!(world.plan_at(240).effect, Some(Effect::DeleteLink));
    let ended = world.settled(240);
    let status = ended.plan_at(241).status.expect("a last word");
    assert_eq!(status.phase, Some(Phase::Ended));
}

#[test]
fn a_namespace_that_is_out_of_reach_does_not_keep_a_loan_alive_and_the_status_tells_of_its_secret()
{
    let world = World::lent().with(|w| w.seen.link = LinkSeen::OutOfReach);
    let EndLoan { end, .. } = ended(&world.plan_at(240));
    assert_eq!(end.reason, EndReason::Expired);
    let after = world.settled(240);
    let plan = after.plan_at(241);
    let (status, _, message) = condition(&plan, ENDED).expect("said");
    assert_eq!(status, "True");
    assert!(
        message.contains("delete it") && message.contains(&link_name(GRANT_UID)),
        "{message}"
    );
    let reached = after.with(|w| w.seen.link = secret(1, 0));
    assert_eq!(reached.plan_at(241).effect, Some(Effect::DeleteLink));
}

/// An admission policy, a missing right or an API server that fails must not keep a loan alive: the end is written, the status says
/// that the Secret stays and what to do, and its deletion is tried again until it goes.
#[test]
fn a_secret_that_cannot_be_deleted_does_not_keep_a_loan_alive_and_the_status_tells_of_it() {
    let world = World::lent().with(World::block_alice);
    assert_eq!(world.plan_at(20).effect, Some(Effect::DeleteLink));
    let world = World {
        seen: fail_to_delete(world.seen, at(20)),
    };
    let EndLoan {
        end,
        residual_until,
        ..
    } = ended(&world.plan_at(20));
    assert_eq!(
        (end.reason, residual_until),
        (EndReason::Blocked, Some(Time(at(60))))
    );
    let ended = world.settled(20);
    let plan = ended.plan_at(20);
    let soon = at(20) + SignedDuration::from_secs(5);
    assert_eq!((plan.effect.clone(), plan.wake), (None, Some(soon)));
    insta::assert_snapshot!("secret_undeleted", lines(&ended, 20));

    let before = keyloan::plan::grant::plan(&ended.seen, soon - SignedDuration::from_nanos(1));
    assert_eq!(before.effect, None, "not before");
    let again = keyloan::plan::grant::plan(&ended.seen, soon);
    assert_eq!(again.effect, Some(Effect::DeleteLink), "at that time");
    assert_eq!(ended.plan_at(21).effect, Some(Effect::DeleteLink), "again");
    let again = World {
        seen: fail_to_delete(ended.seen.clone(), at(21)),
    };
    let later = at(21) + SignedDuration::from_secs(10);
    assert_eq!(again.plan_at(21).wake, Some(later), "and more slowly");

    let plan = ended.settled(22).plan_at(22);
    let (_, why, message) = condition(&plan, ENDED).expect("said");
    assert_eq!(why, "LinkMayStillOpen");
    assert!(!message.contains("Secret"), "it is gone: {message}");
    assert!(!stalled(&plan));
}

#[test]
fn of_an_api_server_that_only_does_not_answer_nobody_is_called() {
    let world = World::lent().with(World::block_alice);
    let mut seen = fail_to_delete(world.seen, at(20));
    seen.undeleted.as_mut().expect("just failed").is_passing = true;
    let plan = World { seen }.settled(20).plan_at(20);
    assert_eq!(reason(&plan, ENDED), "LinkMayStillOpen");
    assert!(!stalled(&plan));
}

#[test]
fn a_secret_that_a_finalizer_keeps_does_not_keep_its_loan_alive_and_the_status_tells_of_it() {
    let world = World::lent().with(|w| w.seen.link = LinkSeen::Kept);
    insta::assert_snapshot!("secret_kept_while_it_runs", lines(&world, 10));
    let EndLoan { end, .. } = ended(&world.plan_at(240));
    assert_eq!(end.reason, EndReason::Expired);
    insta::assert_snapshot!("secret_kept", lines(&world.settled(240), 241));
}

/// Nothing is lent twice by one request, whatever becomes of the Secret that its record was deleted under.
#[test]
fn a_secret_that_outlives_its_record_is_told_of_until_it_is_gone() {
    let orphan = World::lent().with(|w| w.seen.record = None);
    assert_eq!(orphan.plan_at(20).effect, Some(Effect::DeleteLink));
    let stays = World {
        seen: fail_to_delete(orphan.seen, at(20)),
    };
    insta::assert_snapshot!("secret_without_record", lines(&stays, 20));
    let gone = stays.settled(20).settled(21);
    let plan = gone.plan_at(21);
    assert_eq!(reason(&plan, ACCEPTED), "RecordMissing");
    let residual = plan.status.and_then(|s| s.residual_until);
    // A renewal may have been under way that no status tells of: so the end of the loan.
    assert_eq!(residual, Some(Time(at(240))));
}

#[test]
fn an_interrupted_link_may_have_been_made_so_it_counts_in_the_residual() {
    let world = World::lent().with(|w| w.asks_to_renew(55));
    let plan = world.plan_at(55);
    let seen = issue_link(issued(&plan), world.seen, Reached::Intent, at(55));
    let world = World { seen }.with(|w| {
        w.seen.grant = None;
        w.seen.link = LinkSeen::Absent;
    });
    let EndLoan {
        lost,
        residual_until,
        ..
    } = ended(&world.plan_at(56));
    assert_eq!(lost, Some(2));
    // The intent, the longest that the call may take, and the link's hour.
    assert_eq!(residual_until, Some(Time(at(55 + 1 + 60))));
}

#[rstest]
#[case::lost_links_count(Failure::Unavailable, Some(Time(at(61 + 1 + 60))))]
#[case::refused_ones_do_not(Failure::Refused, None)]
fn the_residual_is_the_end_of_the_last_link_that_may_open(
    #[case] failure: Failure,
    #[case] expected: Option<Time>,
) {
    let world = World::lent().with(|w| w.asks_to_renew(61));
    let plan = world.plan_at(61);
    let seen = fail_to_issue(issued(&plan), world.seen, failure, at(61));
    let world = World { seen }
        .with(|w| w.seen.link = LinkSeen::Absent)
        .with(World::block_alice);
    let EndLoan { residual_until, .. } = ended(&world.plan_at(62));
    assert_eq!(residual_until, expected);
}

/// A loan without any link: how the first one failed -> when it is given up, and why.
#[rstest]
#[case::refused(Some(Failure::Refused), 0, EndReason::NotIssued)]
#[case::unanswered(Some(Failure::Unavailable), DAY, EndReason::NotIssued)]
#[case::interrupted(None, DAY, EndReason::NotIssued)]
fn a_loan_that_gets_no_first_link_is_given_up(
    #[case] failure: Option<Failure>,
    #[case] minute: i64,
    #[case] why: EndReason,
) {
    let world = World::asked();
    let plan = world.plan_at(0);
    let issue = issued(&plan);
    let seen = match failure {
        Some(failure) => fail_to_issue(issue, world.seen, failure, at(0)),
        None => issue_link(issue, world.seen, Reached::Intent, at(0)),
    };
    // Nothing can be tried again in the meantime.
    let world = World { seen }.with(|w| w.integration().spec.suspend = true);
    if minute > 0 {
        let before = world.plan_at(minute - 1);
        assert_eq!(
            (before.effect.clone(), before.wake),
            (None, Some(at(minute)))
        );
    }
    let EndLoan { end, .. } = ended(&world.plan_at(minute));
    assert_eq!(end.reason, why);
}

/// The Role and the RoleBinding can be refused permanently, by a policy or for lack of permissions.
/// A crash just before `notAfter` is different: the link was made in time.
#[test]
fn a_link_that_nobody_is_ever_let_read_does_not_keep_its_loan_alive() {
    let world = interrupted_with_its_secret();
    for minute in [1, 31, DAY - 1] {
        let effect = world.plan_at(minute).effect;
        assert!(matches!(effect, Some(Effect::FinishLink(_))), "{minute}");
    }
    assert_eq!(world.plan_at(DAY).effect, Some(Effect::DeleteLink));
    let EndLoan { end, lost, .. } = ended(&world.one_step(DAY).plan_at(DAY));
    assert_eq!((end.reason, lost), (EndReason::NotIssued, Some(1)));
}

/// The link was made in time, and the operator was interrupted before it could say so.
fn interrupted_with_its_secret() -> World {
    let world = World::asked().with(|w| w.grant().spec.not_after = Some(Time(at(30))));
    let plan = world.plan_at(0);
    let seen = issue_link(issued(&plan), world.seen, Reached::Secret, at(0));
    World { seen }
}

#[test]
fn where_a_record_is_gone_and_secrets_are_out_of_reach_people_are_told_to_look() {
    let world = World::lent().with(|w| {
        w.seen.record = None;
        w.seen.link = LinkSeen::OutOfReach;
    });
    let plan = world.plan_at(1);
    let (_, why, message) = condition(&plan, ACCEPTED).expect("Accepted");
    assert_eq!(why, "RecordMissing");
    assert!(
        message.contains("if Secret keyloan-system-links/keyloan-link-"),
        "{message}"
    );
}

#[test]
fn a_link_that_may_be_there_is_not_given_up_because_its_secret_cannot_be_read() {
    let world = interrupted_with_its_secret();
    let unread = world.clone().with(|w| w.seen.link = LinkSeen::OutOfReach);
    for minute in [1, 31, DAY - 1] {
        let plan = unread.plan_at(minute);
        assert_eq!((plan.effect, plan.wake), (None, Some(at(DAY))), "{minute}");
    }
    let found = world.settled(31);
    assert_eq!(
        reason(&found.plan_at(32), ACTIVE),
        "LinkIssued",
        "seen again"
    );

    let EndLoan { end, lost, .. } = ended(&unread.plan_at(DAY));
    assert_eq!((end.reason, lost), (EndReason::NotIssued, Some(1)));
}

/// What needs no look at the Secret waits for none.
#[rstest]
#[case::deleted(|w: &mut World| w.seen.grant = None, EndReason::Deleted)]
#[case::blocked(World::block_alice, EndReason::Blocked)]
#[case::the_item_changed(|w: &mut World| w.infra().items[0].updated_at = at(15), EndReason::ItemChanged)]
#[case::revoked(|w: &mut World| { w.decide(alice(), Decision::Revoke, 15); }, EndReason::Revoked)]
#[case::refused(|w: &mut World| w.failed(15, Failure::Refused), EndReason::NotIssued)]
#[case::lost_and_too_late(
    |w: &mut World| w.record().spec.links[0].outcome = Some(LinkOutcome::Lost),
    EndReason::NotIssued
)]
fn a_secret_that_cannot_be_read_keeps_no_interrupted_loan_from_ending(
    #[case] happens: fn(&mut World),
    #[case] why: EndReason,
) {
    let world = interrupted_with_its_secret().with(|w| w.seen.link = LinkSeen::OutOfReach);
    let EndLoan { end, .. } = ended(&world.with(happens).plan_at(31));
    assert_eq!(end.reason, why);
}

#[test]
fn an_item_that_changes_before_the_first_link_ends_the_loan_whose_record_says_otherwise() {
    let world = World::asked();
    let plan = world.plan_at(0);
    let seen = fail_to_issue(issued(&plan), world.seen, Failure::Unavailable, at(0));
    let world = World { seen }.with(|w| w.failed(1, Failure::ItemDiffers));
    let EndLoan { end, .. } = ended(&world.plan_at(2));
    assert_eq!(end.reason, EndReason::ItemChanged);
}

#[test]
fn a_failure_from_before_the_last_intent_ends_nothing() {
    let world = World::asked();
    let plan = world.plan_at(10);
    let seen = issue_link(issued(&plan), world.seen, Reached::Intent, at(10));
    let world = World { seen }.with(|w| w.failed(9, Failure::Refused));
    assert!(!matches!(
        world.plan_at(10).effect,
        Some(Effect::EndLoan(_))
    ));
}

/// Times are stored in whole seconds. What is said of a link that was made at a fraction of one must not be too early.
#[rstest]
#[case::issued(Reached::Closed)]
#[case::finished_later(Reached::Secret)]
#[case::lost(Reached::Intent)]
fn no_link_opens_longer_than_is_said_not_by_a_fraction_of_a_second(#[case] reached: Reached) {
    let begun = at(0) + SignedDuration::from_millis(900);
    let truth = begun + SignedDuration::from_hours(1);
    let world = World::asked();
    let plan = keyloan::plan::grant::plan(&world.seen, begun);
    let seen = issue_link(issued(&plan), world.seen, reached, begun);
    let world = World { seen };
    let world = match reached {
        Reached::Secret => world.one_step(1),
        _ => world,
    };
    let known = world.seen.record.clone().expect("a record");
    let world = world.with(World::block_alice).settled(1);
    let record = world.seen.record.expect("a record");
    let until = record.spec.residual_until.clone().expect("a residual");
    assert!(until.0 >= truth, "{until:?}");
    if reached != Reached::Intent {
        let link = &known.spec.links[0];
        assert_eq!(link.expires_at.as_ref(), Some(&until));
        assert!(until.0 < truth + SignedDuration::from_secs(1), "{until:?}");
        let loan = keyloan::plan::delivery::links::Links::of(&known.spec);
        assert_eq!(
            loan.granted_at().map(|t| t + SignedDuration::from_hours(1)),
            Some(until.0)
        );
    }
}

/// 1Password's clock was five minutes ahead when the link was made, so by the operator's clock the
/// link opens that much longer.
#[test]
fn a_link_made_by_a_clock_that_is_ahead_opens_until_the_time_that_its_intent_allows_for() {
    let world = World::lent().with(|w| {
        let link = &mut w.record().spec.links[0];
        link.latest_end = Time(at(60 + 5) + CALL_TIMEOUT);
    });
    let ended = world.with(World::block_alice).settled(20);
    let record = ended.seen.record.as_ref().expect("a record");
    assert_eq!(record.spec.residual_until, Some(Time(at(65))));
    let phase = |minute| ended.plan_at(minute).status.and_then(|s| s.phase);
    assert_eq!(phase(64), Some(Phase::Ending));
    assert_eq!(phase(65), Some(Phase::Ended));
}

// Over.

#[test]
fn a_secret_that_turns_up_after_the_end_is_deleted() {
    let world = World::ended().with(|w| w.seen.link = secret(1, 0));
    assert_eq!(world.plan_at(241).effect, Some(Effect::DeleteLink));
    let world = world.with(|w| w.seen.link = LinkSeen::Foreign);
    assert_eq!(world.plan_at(241).effect, None, "but not somebody else's");
}

#[test]
fn an_ending_loan_has_ended_when_no_link_can_open_any_more() {
    let world = World::lent().with(World::block_alice).settled(20);
    let phase = |minute| world.plan_at(minute).status.and_then(|s| s.phase);
    assert_eq!(phase(20), Some(Phase::Ending));
    assert_eq!(world.plan_at(20).wake, Some(at(60)));
    assert_eq!(phase(59), Some(Phase::Ending));
    assert_eq!(phase(60), Some(Phase::Ended));
    let ended = world.settled(60);
    assert_eq!(
        ended.plan_at(60).wake,
        Some(at(60 + 7 * DAY)),
        "to delete it"
    );
}

/// (the links of a loan for four hours) -> the minute by which it is over in any case.
#[rstest]
#[case::it_runs(World::lent(), 240)]
#[case::it_never_got_a_link(interrupted_with_its_secret(), DAY)]
fn a_loan_is_over_when_its_time_is_or_when_its_first_link_is_given_up(
    #[case] mut world: World,
    #[case] minute: i64,
) {
    assert_eq!(over_at(world.record(), at(1)), at(minute));
}

/// A loan from 0 to 240: minutes after which its grant is deleted.
#[rstest]
#[case::after_a_week(None, 240 + 7 * DAY)]
#[case::not_before_not_after(Some(30 * DAY), 30 * DAY)]
#[case::an_early_not_after_changes_nothing(Some(DAY), 240 + 7 * DAY)]
fn an_ended_grant_is_deleted_after_a_while(#[case] not_after: Option<i64>, #[case] deleted: i64) {
    let world = World::lent_with(|w| w.grant().spec.not_after = not_after.map(|m| Time(at(m))));
    let world = world.settled(240);
    let before = world.plan_at(deleted - 1);
    assert_eq!(
        (before.effect.clone(), before.wake),
        (None, Some(at(deleted)))
    );
    assert_eq!(world.plan_at(deleted).effect, Some(Effect::DeleteGrant));
    let deleting = world.with(|w| w.grant().metadata.deletion_timestamp = Some(Time(at(deleted))));
    assert_eq!(deleting.plan_at(deleted).effect, None, "and not twice");
}

/// (the grant goes when) -> when the record may go: 90 days after the loan and all its links have ended.
#[rstest]
#[case::ended_by_its_time(240, 240 + 90 * DAY)]
#[case::deleted_with_a_residual(20, 60 + 90 * DAY)]
fn a_record_is_kept_for_its_retention(#[case] gone: i64, #[case] deleted: i64) {
    let world = World::lent()
        .settled(gone)
        .with(|w| w.seen.grant = None)
        .settled(gone);
    let before = world.plan_at(deleted - 1);
    assert_eq!(
        (before.effect.clone(), before.wake),
        (None, Some(at(deleted)))
    );
    assert_eq!(world.plan_at(deleted).effect, Some(Effect::DeleteRecord));
}

#[test]
fn a_record_is_kept_as_long_as_its_grant() {
    let world =
        World::lent_with(|w| w.grant().spec.not_after = Some(Time(at(400 * DAY)))).settled(240);
    assert_eq!(world.plan_at(399 * DAY).effect, None);
}
