//! A running loan: its state, interrupted effects, and its end.

use jiff::Timestamp;

use crate::api::{AccessRecord, CountedDecision, EndReason, EndRecord, Time};

use super::approval;
use super::case::{Loan, Request};
use super::delivery::failure::Failure;
use super::delivery::links::Links;
use super::delivery::{self, Next, finish, first_link_until, link_state, next_link, next_look};
use super::effect::{Effect, EndLoan, Plan};
use super::inventory::Lookup;
use super::observed::LinkSeen;
use super::people::{first_blocked, is_blocked};
use super::record::restored_by;
use super::status::{self, LoanReport};
use super::vetting::{Vetted, vet_word};

/// Decides about a loan that runs.
pub(super) fn plan(loan: &Loan<'_>, request: &Request<'_>) -> Plan {
    let Loan { seen, links, .. } = *loan;
    if restored_by(loan.record).is_some() {
        return end(loan, EndReason::Restored, None);
    }
    if let Some(reason) = end_due(loan, request) {
        return end(loan, reason, None);
    }
    if let Some(no) = revoked_by(loan) {
        return end(loan, EndReason::Revoked, Some(no));
    }
    if let Some(effect) = finish(seen, links) {
        return Plan::effect(effect);
    }
    let next = next_link(loan, request);
    let word = vet_word(loan.record, request);
    let effect = match (&next, &word) {
        (Next::Issue(issue), _) => Some(Effect::IssueLink(issue.clone())),
        (Next::Check, _) | (_, Vetted::AfterACheck) => Some(Effect::CheckBoundary),
        _ => None,
    };
    let report = LoanReport {
        unconfirmed: word.refuted(),
        state: link_state(loan, &next),
        ignored: approval::ignored(request, &loan.agreement, &loan.record.spec.decisions),
    };
    let status = status::of_loan(loan, request, report);
    // If another installation serves the namespace now, it reports the state of the loan; otherwise
    // the last status stays true.
    let status = Some(status).filter(|_| !seen.unserved);
    Plan {
        effect,
        status,
        wake: next_look(loan, request, &next),
        ..Plan::default()
    }
}

/// Decides about a loan whose request is gone: it ends. A restored record is history: people who
/// may restore records must not be able to lend by one.
pub(super) fn of_deleted_request(loan: &Loan<'_>) -> Plan {
    let reason = match restored_by(loan.record) {
        Some(_) => EndReason::Restored,
        None => EndReason::Deleted,
    };
    end(loan, reason, None)
}

/// The decision that ends the loan, if there is one.
fn revoked_by(loan: &Loan<'_>) -> Option<CountedDecision> {
    approval::revocation(
        &loan.seen.decisions,
        &loan.agreement,
        loan.links.granted_at(),
    )
}

/// The reason why the loan is over, if so. Nothing here depends on a healthy flow, integration or
/// 1Password.
fn end_due(loan: &Loan<'_>, request: &Request<'_>) -> Option<EndReason> {
    let Loan { now, links, .. } = *loan;
    if links.loan_end().is_some_and(|end| now >= end) {
        return Some(EndReason::Expired);
    }
    if blocked(loan) {
        return Some(EndReason::Blocked);
    }
    if item_changed(loan) {
        return Some(EndReason::ItemChanged);
    }
    delivery::end_due(loan, request)
}

/// The time by which a loan is over in any case: its own end or, without a link, the time at which
/// it is given up.
pub fn over_at(record: &AccessRecord, now: Timestamp) -> Timestamp {
    let end = Links::of(&record.spec).loan_end();
    end.unwrap_or_else(|| first_link_until(record, now))
}

/// Whether nothing may be lent any longer to the requester or to a recipient.
fn blocked(loan: &Loan<'_>) -> bool {
    let blocked = loan.seen.blocked();
    is_blocked(&loan.record.spec.requester, blocked)
        || first_blocked(loan.terms().recipients.iter(), blocked).is_some()
}

/// Security teams rotate a password to cut a person off; a link to the new password would undo
/// that. This also holds before the first link: the agreement in a record cannot change.
fn item_changed(loan: &Loan<'_>) -> bool {
    let differs = |f: &Failure| matches!(f, Failure::ItemChanged | Failure::ItemDiffers);
    if loan.failed_by(differs) {
        return true;
    }
    let terms = loan.terms();
    let integration = loan.seen.integration.as_ref();
    let inventory = integration.and_then(|i| i.inventory.as_ref());
    let Some(Lookup::One(vault)) = inventory.map(|i| i.vault(&terms.vault.id)) else {
        return false;
    };
    match vault.item(&terms.item.id) {
        Lookup::One(item) => item.updated_at.as_second() > terms.item_updated_at.0.as_second(),
        _ => false,
    }
}

/// The Secret is deleted first, then the end is written: a failure in between leaves no readable
/// link. A Secret that cannot be deleted must not keep the loan from ending. Its deletion is
/// retried after the end, and the status reports the Secret.
fn end(loan: &Loan<'_>, reason: EndReason, decision: Option<CountedDecision>) -> Plan {
    let effect = match loan.seen.link {
        LinkSeen::Present { .. } if loan.seen.undeleted.is_none() => Effect::DeleteLink,
        _ => Effect::EndLoan(Box::new(EndLoan {
            end: EndRecord {
                reason,
                by: decision.as_ref().map(|d| d.user.clone()),
                at: Time(loan.now),
            },
            decision,
            lost: loan.links.open().map(|l| l.sequence),
            residual_until: loan.links.residual(loan.now).map(Time),
        })),
    };
    Plan::effect(effect)
}
