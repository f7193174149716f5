//! What a record says was agreed, held against the request, the flow, the integration and the decisions: a record alone lends nothing.

use keyloan::api::*;
use keyloan::plan::digest::digest;
use keyloan::plan::effect::{Effect, EndLoan};
use keyloan::plan::observed::Observed;
use rstest::rstest;

use super::deciders::*;
use super::executor::{Reached, issue_link};
use super::world::*;

/// All have agreed, bob for two hours; the intent stands in the record, and the operator has started again since.
fn interrupted() -> World {
    let mut world = World::by_owner_and_two_of_security();
    world.decide(bob(), Decision::Approve, 1).spec.max_duration = Some(span("2h"));
    let world = world
        .approved_by(carol(), 2)
        .approved_by(dave(), 3)
        .one_step(4);
    let plan = world.plan_at(4);
    let seen = issue_link(issued(&plan), world.seen, Reached::Intent, at(4));
    restarted(seen)
}

/// It has forgotten for whom it vouches.
fn restarted(seen: Observed) -> World {
    World { seen }.with(|w| w.seen.checked.clear())
}

/// The record as somebody would write it by hand, with a digest that fits.
fn by_hand(forge: impl FnOnce(&mut AccessRecordSpec)) -> World {
    interrupted().with(|w| {
        let record = &mut w.record().spec;
        record.links.clear();
        forge(record);
        record.digest = digest(&record.grant.uid, &record.terms, None);
    })
}

#[test]
fn an_interrupted_first_link_is_issued_once_those_whom_it_rests_on_are_vouched_for_again() {
    let world = interrupted();
    assert_eq!(world.plan_at(5).effect, Some(Effect::CheckBoundary));
    let plan = world.one_step(5).plan_at(5);
    let issue = issued(&plan);
    assert_eq!(
        (issue.sequence, issue.lost, issue.first),
        (2, Some(1), false)
    );
    let by: Vec<_> = issue.decisions.iter().map(|d| d.user.as_str()).collect();
    assert_eq!(by, ["bob", "carol", "dave"]);
}

#[test]
fn what_needs_nobodys_approval_goes_on_in_the_same_way() {
    let world = World::asked();
    let plan = world.plan_at(0);
    let seen = issue_link(issued(&plan), world.seen, Reached::Intent, at(0));
    let world = restarted(seen);
    assert_eq!(world.plan_at(1).effect, Some(Effect::CheckBoundary));
    assert_eq!(issued(&world.one_step(1).plan_at(1)).sequence, 2);
}

/// A record that was written by hand -> the reason why it lends nothing.
#[rstest]
#[case::for_somebody_else(by_hand(|r| r.requester.username = "mallory".into()), "TermsNotConfirmed")]
#[case::for_somebody_elses_mailbox(by_hand(|r| r.requester.email = Some(email("m@evil.example"))), "TermsNotConfirmed")]
#[case::to_an_address_elsewhere(by_hand(|r| r.terms.recipients = vec![email("m@evil.example")]), "RecipientNotAllowed")]
#[case::of_another_vault(by_hand(|r| r.terms.vault.id = "v-hr".into()), "TermsNotConfirmed")]
#[case::of_another_item(by_hand(|r| r.terms.item.id = "i-twin-1".into()), "TermsNotConfirmed")]
#[case::for_longer(by_hand(|r| r.terms.duration = span("8h")), "TermsNotConfirmed")]
#[case::for_longer_than_bob_allows(by_hand(|r| r.decisions[0].max_duration = None), "TermsNotConfirmed")]
#[case::on_nobodys_approval(by_hand(|r| r.terms.approval = None), "TermsNotConfirmed")]
#[case::on_fewer_approvals(by_hand(|r| r.terms.approval.as_mut().unwrap().groups[1].required = 1), "TermsNotConfirmed")]
#[case::by_another_flow(by_hand(|r| r.terms.flow.uid = "flow-b".into()), "FlowNotFound")]
#[case::with_another_digest(by_hand(|_| {}).with(|w| w.record().spec.digest = "sha256:x".into()), "TermsNotConfirmed")]
#[case::without_decisions(by_hand(|_| {}).with(|w| w.seen.decisions.clear()), "TermsNotConfirmed")]
#[case::with_one_decision_too_few(by_hand(|_| {}).with(|w| drop(w.seen.decisions.pop())), "TermsNotConfirmed")]
#[case::with_decisions_on_other_terms(by_hand(|_| {}).with(|w| {
    for decision in &mut w.seen.decisions {
        std::sync::Arc::make_mut(decision).spec.digest = Some("sha256:x".into());
    }
}), "TermsNotConfirmed")]
fn a_record_that_was_written_by_hand_lends_nothing_that_nobody_approved(
    #[case] forged: World,
    #[case] why: &str,
) {
    let world = match forged.plan_at(5).effect {
        Some(Effect::CheckBoundary) => forged.one_step(5),
        _ => forged,
    };
    let plan = world.plan_at(5);
    assert_eq!(plan.effect, None, "{why}");
    assert_eq!(reason(&plan, ACTIVE), why);
    let later = world.plan_at(DAY + 5);
    let EndLoan { end, .. } = ended(&later);
    assert_eq!(end.reason, EndReason::NotIssued);
}

#[rstest]
#[case::to_an_address_elsewhere(by_hand(|r| r.terms.recipients = vec![email("m@evil.example")]), false)]
#[case::without_decisions(by_hand(|_| {}).with(|w| w.seen.decisions.clear()), false)]
#[case::by_another_flow(by_hand(|r| r.terms.flow.uid = "flow-b".into()), false)]
#[case::as_it_was_approved(by_hand(|_| {}), true)]
fn a_record_alone_has_no_loan_called_approved(#[case] world: World, #[case] is_approved: bool) {
    let world = match world.plan_at(5).effect {
        Some(Effect::CheckBoundary) => world.one_step(5),
        _ => world,
    };
    let plan = world.plan_at(5);
    let (approved, _, _) = condition(&plan, APPROVED).expect("Approved");
    assert_eq!(approved == "True", is_approved);
    let shown = plan.status.expect("a status").decisions;
    assert_eq!(shown.is_empty(), !is_approved, "{shown:?}");
}

/// The last of them is the honest twin of the others.
#[rstest]
#[case::to_an_address_elsewhere(by_hand(|r| r.terms.recipients = vec![email("m@evil.example")]), false)]
#[case::for_longer_than_bob_allows(by_hand(|r| r.decisions[0].max_duration = None), false)]
#[case::on_nobodys_approval(by_hand(|r| r.terms.approval = None), false)]
#[case::without_decisions(by_hand(|_| {}).with(|w| w.seen.decisions.clear()), false)]
#[case::with_another_digest(by_hand(|_| {}).with(|w| w.record().spec.digest = "sha256:x".into()), false)]
#[case::under_the_digest_that_was_approved(by_hand(|_| {}).with(|w| w.record().spec.terms.duration = span("3h")), false)]
#[case::so_that_the_requester_could_approve(by_hand(|r| r.requester.username = "mallory".into()).with(|w| drop(w.seen.decisions.pop())), false)]
#[case::as_it_was_approved(by_hand(|_| {}), true)]
fn a_record_alone_has_no_loan_called_approved_after_its_end_either(
    #[case] world: World,
    #[case] is_approved: bool,
    #[values(Before::Ran, Before::Waited, Before::WasWrittenWithItsEnd)] before: Before,
    #[values(false, true)] is_suspended: bool,
) {
    let suspend = |w: &mut World| w.integration().spec.suspend = is_suspended;
    let world = match before {
        Before::Ran => world.with(suspend).settled(5),
        Before::Waited => world.with(|w| {
            let record = w.seen.record.take();
            let waits = w.clone().with(|w| w.seen.decisions.clear()).settled(5);
            w.seen.grant = waits.seen.grant;
            w.seen.record = record;
            suspend(w);
        }),
        Before::WasWrittenWithItsEnd => world.with(suspend).with(|w| {
            w.record().spec.end = Some(expired_at(5));
        }),
    };
    let ended = world.settled(DAY + 5);
    assert!(ended.seen.record.as_ref().unwrap().spec.end.is_some());
    // Not when the decisions are gone, the flow is another one, and the operator has started again, either.
    let later = ended.clone().with(|w| {
        w.seen.decisions.clear();
        w.seen.flows.clear();
        w.seen.checked.clear();
    });
    for world in [&ended, &later.settled(DAY + 6)] {
        let plan = world.plan_at(DAY + 7);
        let (approved, _, message) = condition(&plan, APPROVED).expect("Approved");
        assert_eq!(approved == "True", is_approved, "{message}");
        let shown = &plan.status.as_ref().expect("a status").decisions;
        assert_eq!(shown.is_empty(), !is_approved, "{shown:?}");
    }
}

/// What there was before a loan ended.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// The record, and a status that tells of it.
    Ran,
    /// The record, and the status of a request that waits.
    Waited,
    /// Nothing: the record has its end from the beginning.
    WasWrittenWithItsEnd,
}

/// What ends a loan that was approved before it has a link does not change that it was.
#[rstest]
#[case::who_asked_is_blocked(World::block_alice)]
#[case::somebody_denies_it(|w: &mut World| { w.decide(carol(), Decision::Deny, 4); })]
#[case::somebody_revokes_it(|w: &mut World| { w.decide(bob(), Decision::Revoke, 5); })]
#[case::the_item_is_changed(|w: &mut World| w.infra().items[0].updated_at = at(5))]
#[case::the_integration_goes(|w: &mut World| w.seen.integration = None)]
#[case::the_flow_goes(|w: &mut World| w.seen.flows.clear())]
#[case::the_flow_asks_for_more(|w: &mut World| w.flow().spec.approval.groups[0].required = 2)]
#[case::nobody_knows_the_vaults(|w: &mut World| w.integration_seen().inventory = None)]
fn a_loan_that_was_approved_is_called_so_whatever_ends_it(
    #[case] change: fn(&mut World),
    #[values(false, true)] has_a_status: bool,
) {
    let world = interrupted().one_step(5);
    let world = match has_a_status {
        true => world
            .with(|w| w.failed(5, keyloan::plan::delivery::failure::Failure::Unavailable))
            .settled(5),
        false => world,
    };
    let ended = world.with(change).settled(DAY + 5);
    assert!(ended.seen.record.as_ref().unwrap().spec.end.is_some());
    let plan = ended.plan_at(DAY + 5);
    let (approved, _, message) = condition(&plan, APPROVED).expect("Approved");
    assert_eq!(approved, "True", "{message}");
    assert!(message.starts_with("approved by bob"), "{message}");
}

/// The loan has no link yet, and its status says that it was approved.
fn told_approved() -> World {
    let fails = keyloan::plan::delivery::failure::Failure::Unavailable;
    interrupted()
        .one_step(5)
        .with(|w| w.failed(5, fails))
        .settled(5)
}

#[test]
fn a_loan_that_was_called_approved_stays_so_when_nothing_is_left_that_tells_of_it() {
    let world = told_approved().with(|w| {
        w.seen.decisions.clear();
        w.seen.flows.clear();
        w.record().spec.end = Some(expired_at(6));
    });
    for world in [world.clone(), world.settled(7)] {
        let plan = world.plan_at(8);
        let (approved, _, message) = condition(&plan, APPROVED).expect("Approved");
        assert_eq!(approved, "True", "{message}");
    }
}

/// Somebody writes a record of their own when the status says that the request was approved.
#[test]
fn what_was_said_of_other_terms_does_not_have_a_record_called_approved() {
    let forged = by_hand(|r| r.terms.recipients = vec![email("m@evil.example")]);
    let world = told_approved().with(|w| {
        w.seen.record = forged.seen.record;
        w.record().spec.end = Some(expired_at(6));
    });
    let plan = world.plan_at(7);
    let (approved, _, message) = condition(&plan, APPROVED).expect("Approved");
    assert_eq!(approved, "False", "{message}");
}

#[test]
fn a_loan_that_was_called_approved_is_not_while_its_flow_asks_for_more() {
    let asks_for =
        |required| move |w: &mut World| w.flow().spec.approval.groups[0].required = required;
    let changed = told_approved().with(asks_for(2)).settled(6);
    assert_eq!(reason(&changed.plan_at(7), APPROVED), "TermsNotConfirmed");
    // It is put back, and the loan ends, before the operator looks again.
    let ended = changed
        .with(asks_for(1))
        .with(|w| w.record().spec.end = Some(expired_at(8)));
    let plan = ended.plan_at(9);
    let (approved, _, message) = condition(&plan, APPROVED).expect("Approved");
    assert_eq!(approved, "True", "{message}");
}

/// It would check in every pass what nobody can vouch for.
#[test]
fn an_ended_loan_whose_approvers_nobody_vouches_for_is_not_checked_while_the_boundary_is_broken() {
    let world = interrupted().with(|w| {
        w.seen.flows.clear();
        w.record().spec.end = Some(expired_at(6));
    });
    assert_eq!(
        world.plan_at(7).effect,
        Some(Effect::CheckBoundary),
        "the twin"
    );
    let broken = world.with(|w| w.seen.boundary.broken = Some("gone".into()));
    let plan = broken.plan_at(7);
    assert_eq!(plan.effect, None);
    let (approved, ..) = condition(&plan, APPROVED).expect("Approved");
    assert_eq!(approved, "False");
}

fn expired_at(minute: i64) -> EndRecord {
    EndRecord {
        reason: EndReason::Expired,
        by: None,
        at: Time(at(minute)),
    }
}

/// The honest twin of all of them: the same record, of what was agreed and approved.
#[test]
fn a_record_of_what_was_agreed_and_approved_is_lent_whoever_wrote_it() {
    issued(&by_hand(|_| {}).one_step(5).plan_at(5));
}

/// What changes between the intent and the first link.
#[rstest]
#[case::the_flow_asks_for_more(|w: &mut World| w.flow().spec.approval.groups[0].required = 2)]
#[case::the_flow_lends_it_no_more(|w: &mut World| w.flow().spec.items.include[0].tags = vec![Tag("dev".into())])]
#[case::the_flow_lets_others_ask(|w: &mut World| w.flow().spec.requesters[0].name = "others".into())]
fn a_flow_that_changes_before_the_first_link_stops_it(#[case] change: fn(&mut World)) {
    let plan = interrupted().one_step(5).with(change).plan_at(6);
    assert_eq!(plan.effect, None);
    assert!(stalled(&plan));
    let lent = lent_on_approval()
        .with(change)
        .with(|w| w.asks_to_renew(55));
    assert_eq!(
        issued(&lent.plan_at(55)).sequence,
        2,
        "a loan that runs keeps its terms"
    );
}

fn lent_on_approval() -> World {
    World::by_owner_and_two_of_security()
        .approved_by(bob(), 0)
        .approved_by(carol(), 0)
        .approved_by(dave(), 0)
        .settled(0)
}

#[test]
fn before_the_vaults_are_listed_again_a_first_link_waits() {
    let world = interrupted()
        .one_step(5)
        .with(|w| w.integration_seen().inventory = None);
    let plan = world.plan_at(6);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "IntegrationNotReady");
    assert!(!stalled(&plan), "it recovers by itself");
}

// Before each link.

fn domains(world: &mut World, names: &[&str]) {
    let names = names.iter().map(|name| Domain((*name).into()));
    world.integration().spec.recipient_domains = names.collect();
}

fn allow(world: &mut World, names: &[&str]) {
    let names = names.iter().map(|name| TitleOrId((*name).into()));
    world.integration().spec.vaults = names.collect();
}

/// What the integration allows when alice asks for the second link, and whether she gets it.
#[rstest]
#[case::all_as_before(|_: &mut World| {}, true)]
#[case::her_own_domain(|w: &mut World| domains(w, &["example.org", "example.com"]), true)]
#[case::another_domain(|w: &mut World| domains(w, &["example.org"]), false)]
#[case::the_vault_by_title(|w: &mut World| allow(w, &["HR", "Infra"]), true)]
#[case::the_vault_by_id(|w: &mut World| allow(w, &["v-infra"]), true)]
#[case::another_vault(|w: &mut World| allow(w, &["HR"]), false)]
#[case::the_vault_by_title_before_it_is_listed(|w: &mut World| { allow(w, &["Infra"]); w.integration_seen().inventory = None; }, true)]
#[case::another_vault_before_it_is_listed(|w: &mut World| { allow(w, &["HR"]); w.integration_seen().inventory = None; }, false)]
fn a_loan_is_renewed_only_within_what_the_integration_allows_now(
    #[case] now_allowed: fn(&mut World),
    #[case] is_renewed: bool,
) {
    let world = World::lent()
        .with(now_allowed)
        .with(|w| w.asks_to_renew(55));
    let plan = world.plan_at(55);
    if is_renewed {
        assert_eq!(issued(&plan).sequence, 2);
        return;
    }
    assert_eq!(plan.effect, None);
    let (_, _, message) = condition(&plan, STALLED).unwrap_or_default();
    assert!(message.is_empty(), "its link still opens: {message}");
    let plan = world.plan_at(61);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "RenewalStopped");
    assert!(stalled(&plan));
}

#[rstest]
#[case::another_person(
    |r: &mut AccessRecordSpec| r.requester.username = "mallory".into(),
    "the record names mallory as the requester, but alice made the request: find out who wrote the record, then request again"
)]
#[case::another_mailbox(
    |r: &mut AccessRecordSpec| r.requester.email = Some(email("m@evil.example")),
    "the record gives alice another e-mail address than the request does: find out who wrote the record, then request again"
)]
fn a_loan_whose_record_names_another_requester_is_not_renewed(
    #[case] change: fn(&mut AccessRecordSpec),
    #[case] says: &str,
) {
    let world = World::lent()
        .with(|w| change(&mut w.record().spec))
        .with(|w| w.asks_to_renew(61));
    let plan = world.plan_at(61);
    assert_eq!(plan.effect, None);
    let (_, reason, message) = condition(&plan, ACTIVE).expect("Active");
    assert_eq!(reason, "RenewalStopped");
    assert_eq!(message, says);
}
