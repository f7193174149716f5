//! How requests live that need approval: what they wait for, how long, and what ends or hinders them.

use keyloan::api::*;
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::effect::Effect;
use rstest::rstest;

use super::bounds;
use super::deciders::*;
use super::executor::fail_to_issue;
use super::world::*;

#[test]
fn a_request_that_needs_approval_waits_and_says_for_whom() {
    let world = World::by_owner_and_two_of_security();
    let plan = world.plan_at(1);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACCEPTED), "FlowChosen");
    assert_eq!(reason(&plan, APPROVED), "WaitingForApproval");
    assert!(!stalled(&plan));
    let sentence = "1 approval from group \"owner\" (any member of db-team), and 2 approvals from group \"security\" (any member of security), due 2026-11-24T10:00:00Z";
    assert_eq!(waiting_for(&plan), sentence);
    assert_eq!(plan.wake, Some(at(DAY)));
}

#[test]
fn a_request_that_nobody_can_approve_is_refused_at_once() {
    let only_alice = group("owner", &[(ApproverKind::User, Some("alice"))], 1);
    let plan = World::waiting(ApprovalMode::AllOf, vec![only_alice]).plan_at(0);
    let (_, why, message) = condition(&plan, ACCEPTED).expect("Accepted");
    assert_eq!(why, "NoFlowCoversRequest");
    assert_eq!(
        message,
        "flow \"oncall\": too few people can approve for group \"owner\": 1 required, 0 eligible; the requester, recipients and blocked people are not eligible"
    );
}

#[test]
fn a_denial_is_final_also_when_its_object_is_gone_and_others_approve() {
    let mut world = World::by_owner_and_two_of_security();
    world.decide(bob(), Decision::Deny, 1).spec.reason = Some("not on a Friday".into());
    let plan = world.plan_at(1);
    let (_, why, message) = condition(&plan, APPROVED).expect("Approved");
    assert_eq!(
        (why, message),
        ("Denied", "the request was denied by bob: not on a Friday")
    );
    assert_eq!(
        plan.status.as_ref().and_then(|s| s.phase),
        Some(Phase::Denied)
    );
    assert!(stalled(&plan));
    let mut world = world.settled(1);
    world.seen.decisions.clear();
    let world = world
        .approved_by(bob(), 2)
        .approved_by(carol(), 2)
        .approved_by(dave(), 2);
    assert_eq!(world.weighed_at(3).effect, None);
    assert_eq!(
        world.weighed_at(3).status.and_then(|s| s.phase),
        Some(Phase::Denied)
    );
}

/// A status that the API server does not take would never say that the request was denied.
#[test]
fn a_denial_after_many_decisions_without_effect_shows_the_newest_of_them() {
    let mut world = World::by_owner_and_two_of_security();
    for minute in 1..=21 {
        world.decide(alice(), Decision::Approve, minute);
    }
    world.decide(bob(), Decision::Deny, 22);
    let plan = world.plan_at(23);
    assert_eq!(reason(&plan, APPROVED), "Denied");
    let status = plan.status.expect("a status");
    bounds::keeps(&status).expect("the API server takes it");
    let shown = status.ignored_decisions.iter().map(|d| d.name.clone());
    let newest: Vec<_> = (1..=20).map(|n| format!("decision-{n}")).collect();
    assert_eq!(shown.collect::<Vec<_>>(), newest);
}

#[test]
fn approvals_in_time_count_also_when_they_are_seen_late_and_nobody_waits_longer_than_the_timeout() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1);
    let lapsed = world.weighed_at(DAY);
    assert_eq!(reason(&lapsed, ACCEPTED), "Lapsed");
    assert!(stalled(&lapsed));
    // The operator was away when dave approved.
    let late = world.settled(2).approved_by(dave(), DAY - 1);
    assert!(is_approved(&late.weighed_at(DAY - 1)));
    assert!(
        is_approved(&late.weighed_at(DAY + 60))
            || reason(&late.weighed_at(DAY + 60), ACCEPTED) == "FlowChosen"
    );
}

#[test]
fn an_approval_may_shorten_the_loan_and_the_shortest_one_counts() {
    let mut world = World::by_owner_and_two_of_security().approved_by(dave(), 1);
    world.decide(bob(), Decision::Approve, 1).spec.max_duration = Some(span("2h"));
    world
        .decide(carol(), Decision::Approve, 1)
        .spec
        .max_duration = Some(span("3h"));
    let lent = world.settled(2);
    let status = lent.plan_at(3).status.expect("a status");
    assert_eq!(status.expires_at, Some(Time(at(2 + 120))));
}

#[test]
fn without_the_boundary_nothing_new_is_issued_and_what_runs_goes_on_and_ends() {
    let broken = |w: &mut World| w.seen.boundary.broken = Some("gone".into());
    let plan = World::asked().with(broken).plan_at(0);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "BoundaryNotInForce");
    let mut renewing = World::lent().with(broken);
    renewing.asks_to_renew(55);
    assert_eq!(issued(&renewing.plan_at(55)).sequence, 2);
    assert_eq!(renewing.plan_at(4 * 60).effect, Some(Effect::DeleteLink));
}

#[test]
fn a_request_is_first_vouched_for_and_one_from_before_the_policies_is_not_believed() {
    let world = World::asked().with(|w| w.seen.checked.clear());
    assert_eq!(world.plan_at(0).effect, Some(Effect::CheckBoundary));
    let changed = |minute| move |w: &mut World| w.seen.boundary.changed_at = Some(at(minute));
    assert_eq!(
        world.clone().with(changed(-1)).plan_at(0).effect,
        Some(Effect::CheckBoundary)
    );
    let plan = world.with(changed(0)).plan_at(1);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACCEPTED), "IdentityUnverified");
    assert!(stalled(&plan));
}

#[test]
fn a_request_for_whose_maker_nobody_vouches_is_checked_until_it_lapses() {
    let world = World::asked().with(|w| w.seen.checked.clear());
    let plan = world.plan_at(DAY - 1);
    assert_eq!(plan.effect, Some(Effect::CheckBoundary));
    assert_eq!(plan.wake, Some(at(DAY)));
    for minute in [DAY, DAY + 1] {
        let plan = world.plan_at(minute);
        assert_eq!(plan.effect, None, "{minute}");
        assert_eq!(reason(&plan, ACCEPTED), "Lapsed", "{minute}");
    }
}

#[test]
fn a_denial_ends_nothing_that_has_started() {
    let mut world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), 1)
        .settled(2);
    world.decide(carol(), Decision::Deny, 3);
    assert_eq!(world.plan_at(4).effect, None);
}

#[test]
fn what_only_has_to_wait_keeps_its_terms_and_approvals() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .settled(1);
    let throttled = world.with(|w| w.integration_seen().throttled_until = Some(at(30)));
    let plan = throttled.plan_at(2);
    assert_eq!(reason(&plan, ACCEPTED), "OnePasswordThrottled");
    assert_eq!(counted(&plan), ["bob for owner"]);
    assert!(plan.status.is_some_and(|s| s.digest.is_some()));
}

#[test]
fn a_denial_counts_until_the_loan_begins_also_after_the_timeout_and_while_the_link_is_made() {
    let approved = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), DAY - 1);
    let denied = approved.clone().with(|w| {
        w.decide(carol(), Decision::Deny, DAY + 5);
    });
    assert!(is_approved(&approved.weighed_at(DAY + 6)), "the twin");
    assert_eq!(reason(&denied.weighed_at(DAY + 6), APPROVED), "Denied");

    // Seen only when the link is there already.
    let mut late = approved.settled(DAY + 10);
    late.decide(carol(), Decision::Deny, DAY + 10);
    assert_eq!(late.plan_at(DAY + 11).effect, Some(Effect::DeleteLink));
}

#[test]
fn a_passing_fault_costs_a_patient_request_nothing() {
    let three_days = |w: &mut World| w.flow().spec.approval.timeout = span("72h");
    let world = World::asked()
        .with(|w| {
            w.flow().spec.approval = approval_by(ApprovalMode::AllOf, owner_and_two_of_security())
        })
        .with(three_days)
        .settled(0)
        .approved_by(bob(), 1);
    let suspended = |on: bool| move |w: &mut World| w.flow().spec.suspend = on;
    let faulty = world
        .settled(30 * 60)
        .with(suspended(true))
        .settled(30 * 60 + 1);
    assert_eq!(
        reason(&faulty.plan_at(30 * 60 + 2), ACCEPTED),
        "NoFlowCoversRequest"
    );
    let mended = faulty.with(suspended(false));
    assert_eq!(
        reason(&mended.plan_at(30 * 60 + 3), APPROVED),
        "WaitingForApproval"
    );
    let outlasted = mended.plan_at(72 * 60);
    assert_eq!(reason(&outlasted, ACCEPTED), "Lapsed");
}

#[test]
fn a_request_made_in_time_waits_for_the_next_opening() {
    let office = Timeframe {
        days: vec![Weekday::Mon, Weekday::Tue],
        from: TimeOfDay("09:00".into()),
        to: TimeOfDay("18:00".into()),
        time_zone: "Europe/Berlin".into(),
    };
    let world = World::asked()
        .with(|w| {
            w.flow().spec.approval = approval_by(ApprovalMode::AllOf, owner_and_two_of_security());
            w.flow().spec.timeframe = Some(office);
        })
        .settled(0);
    let night = 9 * 60;
    let closed = world.settled(night);
    let plan = closed.plan_at(night + 1);
    assert_eq!(
        (reason(&plan, ACCEPTED), stalled(&plan)),
        ("OutsideTimeframe", false)
    );
    assert_eq!(
        plan.wake,
        Some(at(22 * 60)),
        "it is looked at when it opens"
    );
    let morning = 23 * 60;
    assert_eq!(
        reason(&closed.plan_at(morning), APPROVED),
        "WaitingForApproval"
    );
}

#[test]
fn a_first_link_that_was_lost_is_not_tried_again_without_the_boundary() {
    let world = World::asked();
    let plan = world.plan_at(0);
    let lost = fail_to_issue(
        issued(&plan),
        world.seen.clone(),
        Failure::Unavailable,
        at(0),
    );
    let world = World { seen: lost };
    assert_eq!(issued(&world.plan_at(5)).sequence, 2, "the twin");
    let broken = world.with(|w| w.seen.boundary.broken = Some("gone".into()));
    assert_eq!(broken.plan_at(5).effect, None);
}

/// The flow requires no approval of its own, but it is suspended, so the request has no terms yet.
#[rstest]
#[case::its_requester(alice(), None, GRANT_UID, true)]
#[case::a_holder_of_the_verb(person("erin", &[]), Some(true), GRANT_UID, true)]
#[case::somebody_else(person("mallory", &["engineering"]), None, GRANT_UID, false)]
#[case::its_requester_about_an_earlier_request(alice(), None, "former", false)]
fn a_request_that_no_flow_covers_is_withdrawn_by_those_entitled(
    #[case] who: Identity,
    #[case] may_revoke: Option<bool>,
    #[case] of_request: &str,
    #[case] is_withdrawn: bool,
) {
    let mut world = World::asked().with(|w| w.flow().spec.suspend = true);
    world = world.settled(0);
    let name = who.username.clone();
    let revoke = world.decide(who, Decision::Revoke, 1);
    revoke.spec.may_revoke = may_revoke;
    revoke.spec.grant_uid = of_request.into();
    let plan = world.plan_at(2);
    let phase = plan.status.as_ref().and_then(|s| s.phase);
    if !is_withdrawn {
        assert_eq!(reason(&plan, ACCEPTED), "NoFlowCoversRequest");
        assert_eq!(phase, Some(Phase::Failed));
        return;
    }
    let message = format!("the request was withdrawn by {name}");
    assert_eq!(
        condition(&plan, ACCEPTED),
        Some(("False", "Revoked", message.as_str()))
    );
    assert_eq!(phase, Some(Phase::Denied));
    let resumed = world.settled(2).with(|w| w.flow().spec.suspend = false);
    assert_eq!(resumed.plan_at(3).effect, None, "it stays withdrawn");
}

/// Each group has one member. Alice cannot approve her own request.
#[rstest]
#[case::one_group_of_two_can(ApprovalMode::AnyOf, &["alice", "bob"], true)]
#[case::none_of_two_can(ApprovalMode::AnyOf, &["alice", "alice@example.com"], false)]
#[case::one_of_two_that_both_have_to(ApprovalMode::AllOf, &["alice", "bob"], false)]
#[case::both_of_two_can(ApprovalMode::AllOf, &["carol", "bob"], true)]
fn a_request_waits_only_for_groups_that_can_approve_it(
    #[case] mode: ApprovalMode,
    #[case] members: &[&str],
    #[case] waits: bool,
) {
    let of_one = |who: &&str| group(who, &[(ApproverKind::User, Some(who))], 1);
    let plan = World::waiting(mode, members.iter().map(of_one).collect()).plan_at(1);
    let (_, why, message) = condition(&plan, ACCEPTED).expect("Accepted");
    match waits {
        true => assert_eq!(why, "FlowChosen"),
        false => assert!(message.contains("too few people can approve"), "{message}"),
    }
    assert_eq!(stalled(&plan), !waits);
}
