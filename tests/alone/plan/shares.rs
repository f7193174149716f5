//! Nobody uses up what is everybody's: the limits that bind without being set, how many requests wait, and who waits for room in 1Password's.

use jiff::{SignedDuration, Timestamp};
use keyloan::api::*;
use keyloan::plan::delivery::share_link::length;
use keyloan::plan::effect::Effect;
use keyloan::plan::observed::{Ahead, Usage};
use keyloan::plan::quota::{Budget, Window};
use keyloan::plan::request_state::RequestState;
use rstest::rstest;
use serde_json::json;

use super::deciders::bob;
use super::world::*;

#[test]
fn a_flow_and_an_integration_that_say_nothing_of_limits_have_some() {
    let mut flow = serde_json::to_value(flow("oncall").spec).expect("JSON");
    flow.as_object_mut().expect("an object").remove("limits");
    let flow: AccessFlowSpec = serde_json::from_value(flow).expect("a flow");
    let limits = flow.limits;
    assert_eq!(
        (limits.active_per_requester, limits.pending_per_requester),
        (5, 10)
    );
    let one: FlowLimits = serde_json::from_value(json!({ "activePerRequester": 1 })).expect("one");
    assert_eq!(
        (one.active_per_requester, one.pending_per_requester),
        (1, 10)
    );
    let limits: IntegrationLimits = serde_json::from_value(json!({})).expect("limits");
    assert_eq!(limits, IntegrationLimits::default());
    assert_eq!((limits.requester_share, limits.renewal_share), (25, 20));
}

/// (loans) -> whether one more is lent by a flow that says nothing of limits.
#[rstest]
#[case(4, true)]
#[case(5, false)]
fn nobody_is_without_a_limit(#[case] active: u32, #[case] granted: bool) {
    let world = World::asked().with(|w| {
        w.flow().spec.limits = FlowLimits::default();
        let usage = Usage {
            active,
            ..Usage::default()
        };
        w.seen.usage = [("flow-oncall".to_owned(), usage)].into();
    });
    assert_eq!(world.plan_at(0).effect.is_some(), granted);
}

/// (those that wait, those that were not looked at) before a request of a requester of whom ten may wait for approval.
#[rstest]
#[case::few((49, 0), Fate::LookedAt)]
#[case::few_in_all((20, 29), Fate::LookedAt)]
#[case::those_before_it_come_first((20, 30), Fate::Waits)]
#[case::too_many((50, 0), Fate::TurnedAway)]
#[case::far_too_many((9_000, 9_000), Fate::TurnedAway)]
fn a_request_that_finds_too_many_before_it_fails_before_anything_is_looked_up(
    #[case] (in_line, new): (u32, u32),
    #[case] fate: Fate,
) {
    let world = World::asked().with(|w| w.seen.ahead = Ahead { in_line, new });
    let plan = world.plan_at(0);
    match fate {
        Fate::LookedAt => assert!(plan.effect.is_some()),
        Fate::Waits => {
            assert_eq!((&plan.effect, &plan.status), (&None, &None));
            let wake = plan.wake.expect("it looks again");
            assert!(
                (1..=5).contains(&wake.duration_since(at(0)).as_secs()),
                "{wake}"
            );
        }
        Fate::TurnedAway => {
            assert_eq!(plan.effect, None);
            assert_eq!(reason(&plan, ACCEPTED), "TooManyRequests");
            assert_eq!(
                plan.status.as_ref().and_then(|s| s.phase),
                Some(Phase::Failed)
            );
            assert!(stalled(&plan));
        }
    }
}

/// (those that wait, those that were not looked at) -> milliseconds until it looks again: the more
/// are before it, the later, up to the number at which it would be turned away.
#[rstest]
#[case::just_too_many((20, 30), 2_500)]
#[case::many_more((20, 9_000), 2_500)]
#[case::where_the_flow_lets_few_wait((0, 9_000), 2_050)]
fn a_request_that_is_not_looked_at_yet_looks_again_the_later_the_more_are_before_it(
    #[case] (in_line, new): (u32, u32),
    #[case] milliseconds: i64,
) {
    let world = World::asked().with(|w| {
        w.seen.ahead = Ahead { in_line, new };
        if in_line == 0 {
            w.flow().spec.limits.pending_per_requester = 1;
        }
    });
    let wait = SignedDuration::from_millis(milliseconds);
    assert_eq!(world.plan_at(0).wake, Some(at(0) + wait));
}

/// Alice's request waits for approval; what is seen then -> whether it takes up one of the places
/// of those that wait.
#[rstest]
#[case::it_waits_for_approval(|_: &mut World| {}, RequestState::HasPlace)]
#[case::nobody_has_looked_at_it(|w: &mut World| w.grant().status = None, RequestState::New)]
#[case::the_flow_was_suspended_meanwhile(
    |w: &mut World| { w.flow().spec.suspend = true; *w = w.clone().settled(1); },
    RequestState::InLine
)]
#[case::others_have_taken_all_places(
    |w: &mut World| {
        w.flow().spec.limits.pending_per_requester = 1;
        let usage = Usage { pending: 1, ..Usage::default() };
        w.seen.usage = [("flow-oncall".to_owned(), usage)].into();
        *w = w.clone().settled(1);
    },
    RequestState::InLine
)]
#[case::it_waits_for_its_integration(
    |w: &mut World| {
        w.grant().status = None;
        w.integration().spec.suspend = true;
        *w = w.clone().settled(1);
    },
    RequestState::InLine
)]
#[case::it_has_a_record(|w: &mut World| status(w).record = Some(GRANT_UID.into()), RequestState::Lent)]
#[case::it_was_granted(|w: &mut World| status(w).granted_at = Some(Time(at(1))), RequestState::Lent)]
#[case::it_was_denied(
    |w: &mut World| { w.decide(bob(), Decision::Deny, 1); *w = w.clone().settled(1); },
    RequestState::Closed { since: at(1) }
)]
fn a_request_takes_a_place_from_when_a_flow_covers_it_until_it_is_over(
    #[case] happens: fn(&mut World),
    #[case] expected: RequestState,
) {
    let world = World::by_owner_and_two_of_security().with(happens);
    let grant = world.seen.grant.as_deref().expect("a grant");
    assert_eq!(RequestState::of(grant), expected, "{:?}", grant.status);
}

fn status(world: &mut World) -> &mut AccessGrantStatus {
    world.grant().status.as_mut().expect("a status")
}

#[derive(Debug)]
enum Fate {
    LookedAt,
    Waits,
    TurnedAway,
}

#[test]
fn so_does_one_that_nothing_covers_and_one_whose_flow_lets_more_wait_does_not() {
    let fifty = Ahead {
        in_line: 50,
        new: 0,
    };
    let hopeless = World::asked().with(|w| {
        w.seen.ahead = fifty;
        w.flow().spec.requesters.clear();
    });
    assert_eq!(reason(&hopeless.plan_at(0), ACCEPTED), "TooManyRequests");
    let generous = World::asked().with(|w| {
        w.seen.ahead = fifty;
        w.flow().spec.limits.pending_per_requester = 11;
    });
    assert!(generous.plan_at(0).effect.is_some());
}

#[test]
fn a_request_that_has_a_place_is_never_turned_away() {
    let waits = World::asked().with(|w| {
        w.flow().spec.approval = approval(ApprovalMode::AnyOf, &[1]);
    });
    let waits = waits.settled(0);
    assert_eq!(
        RequestState::of(waits.seen.grant.as_ref().expect("one")),
        RequestState::HasPlace
    );
    let waits = waits.with(|w| {
        w.seen.ahead = Ahead {
            in_line: 9_000,
            new: 0,
        }
    });
    assert_eq!(reason(&waits.plan_at(1), ACCEPTED), "FlowChosen");
}

#[test]
fn a_request_that_was_turned_away_is_deleted_after_an_hour_whatever_else_it_says() {
    let crowded = World::asked().with(|w| {
        w.seen.ahead = Ahead {
            in_line: 50,
            new: 0,
        };
        w.grant().spec.not_after = Some(Time(at(10_000)));
    });
    let turned_away = crowded.settled(0).with(|w| w.seen.ahead = Ahead::default());
    let grant = turned_away.seen.grant.as_ref().expect("one");
    assert!(RequestState::of(grant).closed_since().is_some());
    assert_eq!(
        turned_away.plan_at(59).effect,
        None,
        "not even when there is room again"
    );
    assert_eq!(turned_away.plan_at(59).wake, Some(at(60)));
    assert_eq!(turned_away.plan_at(60).effect, Some(Effect::DeleteGrant));
}

fn share_used(minute: i64) -> Budget {
    Budget {
        own_from: Some(at(minute)),
        first_links_from: None,
    }
}

fn kept(minute: i64) -> Budget {
    Budget {
        own_from: None,
        first_links_from: Some(at(minute)),
    }
}

/// (what is left) -> why the first link waits, and until when.
#[rstest]
#[case(share_used(40), "RequesterShareUsed", at(40))]
#[case(kept(50), "KeptForRenewals", at(50))]
fn a_first_link_waits_for_room_says_so_and_is_woken_then(
    #[case] budget: Budget,
    #[case] why: &str,
    #[case] until: Timestamp,
) {
    let world = World::asked().with(|w| w.integration_seen().budget = budget);
    let plan = world.plan_at(1);
    assert_eq!((plan.effect.as_ref(), plan.wake), (None, Some(until)));
    assert_eq!(
        plan.status.as_ref().and_then(|s| s.phase),
        Some(Phase::Pending)
    );
    assert_eq!(reason(&plan, ACCEPTED), "FlowChosen");
    let (_, reason, message) = condition(&plan, ACTIVE).expect("said");
    assert_eq!(reason, why);
    assert!(message.ends_with(&format!("{until:.0}")), "{message}");
    assert!(!stalled(&plan));
    assert!(world.plan_at(59).effect.is_some(), "when there is room");
}

#[test]
fn a_look_for_an_item_waits_for_room_too() {
    let world = World::asked().with(|w| {
        w.grant().spec.item.item = TitleOrId("unheard of".into());
        w.integration_seen().budget = share_used(40);
    });
    let plan = world.plan_at(1);
    assert_eq!((plan.effect.as_ref(), plan.wake), (None, Some(at(40))));
    assert_eq!(reason(&plan, ACCEPTED), "RequesterShareUsed");
    assert!(matches!(
        world.plan_at(41).effect,
        Some(Effect::ListVault { .. })
    ));
}

#[test]
fn a_renewal_takes_what_is_kept_for_it_and_waits_for_its_requesters_share_only() {
    let asks = World::lent().with(|w| w.asks_to_renew(65));
    let with = |budget: Budget| asks.clone().with(|w| w.integration_seen().budget = budget);
    assert_eq!(issued(&with(kept(90)).plan_at(66)).sequence, 2);
    let waits = with(share_used(90)).plan_at(66);
    assert_eq!((waits.effect.as_ref(), waits.wake), (None, Some(at(90))));
    assert_eq!(reason(&waits, ACTIVE), "RequesterShareUsed");
    assert_eq!(issued(&with(share_used(90)).plan_at(90)).sequence, 2);
}

/// The clock of the operator that wrote them may have been ahead, and they would count too long.
#[test]
fn requests_that_were_counted_in_the_future_are_forgotten_by_the_next_operator() {
    let counts = [(at(-30), 2), (at(0), 3), (at(30), 100)];
    let window = Window::hour().filled(counts, at(0));
    assert_eq!(window.used(at(0)), 5);
    assert_eq!(window.used(at(40)), 3);
    // What is written down for the one after that.
    let kept: Vec<_> = window.counts(at(40)).collect();
    assert_eq!(kept, [(at(0), 3)]);
}

/// Only what is issued for the first time leaves something to renewals; a first link that was lost is one.
#[test]
fn a_first_link_that_is_tried_again_is_a_first_link() {
    let lent = World::lent();
    let mut record = lent.seen.record.as_deref().expect("a record").clone();
    record.spec.links[0].outcome = Some(LinkOutcome::Lost);
    record.spec.links[0].issued_at = None;
    let again = lent.with(|w| {
        w.seen.record = Some(record.into());
        w.seen.link = keyloan::plan::observed::LinkSeen::Absent;
        w.integration_seen().budget = kept(90);
    });
    assert_eq!(reason(&again.plan_at(5), ACTIVE), "KeptForRenewals");
}

/// (flow, integration) -> how long a link of an eight-day loan opens.
#[rstest]
#[case(LinkLifetime::SevenDays, IntegrationLimits::default().max_link_lifetime, LinkLifetime::SevenDays)]
#[case(LinkLifetime::SevenDays, LinkLifetime::OneDay, LinkLifetime::OneDay)]
#[case(LinkLifetime::OneHour, LinkLifetime::OneDay, LinkLifetime::OneHour)]
fn no_link_opens_for_longer_than_the_integration_allows(
    #[case] by_flow: LinkLifetime,
    #[case] ceiling: LinkLifetime,
    #[case] expected: LinkLifetime,
) {
    let world = World::asked().with(|w| {
        w.grant().spec.duration = Some(span("8d"));
        w.flow().spec.grant.max_duration = span("8d");
        w.flow().spec.grant.link_lifetime = by_flow;
        w.integration().spec.limits = Some(IntegrationLimits {
            max_link_lifetime: ceiling,
            ..IntegrationLimits::default()
        });
    });
    let plan = world.plan_at(0);
    assert_eq!(issued(&plan).opens_for, length(expected));
    assert_eq!(issued(&plan).agreement.terms.link_lifetime, expected);
}

#[test]
fn a_ceiling_that_is_lowered_binds_the_next_link_of_a_loan_that_runs() {
    let asks = World::lent_with(|w| {
        w.grant().spec.duration = Some(span("8d"));
        w.flow().spec.grant.max_duration = span("8d");
        w.flow().spec.grant.link_lifetime = LinkLifetime::OneDay;
    });
    let a_day = 24 * 60;
    let asks = asks.with(|w| w.asks_to_renew(a_day + 1));
    assert_eq!(
        issued(&asks.plan_at(a_day + 1)).opens_for,
        length(LinkLifetime::OneDay)
    );
    let lowered = asks.with(|w| {
        w.integration().spec.limits = Some(IntegrationLimits {
            max_link_lifetime: LinkLifetime::OneHour,
            ..IntegrationLimits::default()
        });
    });
    assert_eq!(
        issued(&lowered.plan_at(a_day + 1)).opens_for,
        length(LinkLifetime::OneHour)
    );
}

/// (approvals that the flow asks for) (those that the integration asks for) -> whether the request is looked at further.
#[rstest]
#[case::automatic(&[], 1, false)]
#[case::one_is_not_two(&[1], 2, false)]
#[case::two_are_two(&[2], 2, true)]
#[case::two_groups_are_two_people(&[1, 1], 2, true)]
fn a_flow_that_asks_for_fewer_approvals_than_the_integration_lends_nothing(
    #[case] required: &[u32],
    #[case] least: u32,
    #[case] accepted: bool,
) {
    let world = World::asked().with(|w| {
        let mode = match required {
            [] => ApprovalMode::None,
            _ => ApprovalMode::AllOf,
        };
        w.flow().spec.approval = approval(mode, required);
        w.integration().spec.limits = Some(IntegrationLimits {
            min_approvals: Some(least),
            ..IntegrationLimits::default()
        });
    });
    let plan = world.plan_at(0);
    assert_eq!(plan.effect, None);
    let expected = match accepted {
        true => "FlowChosen",
        false => "NoFlowCoversRequest",
    };
    assert_eq!(reason(&plan, ACCEPTED), expected);
    let (.., message) = condition(&plan, ACCEPTED).expect("said");
    assert_eq!(
        message.contains("limits.minApprovals"),
        !accepted,
        "{message}"
    );
    let asked = match required {
        [] => "requires 0 approvals, but",
        _ => "requires 1 approval, but",
    };
    assert_eq!(message.contains(asked), !accepted, "{message}");
}
