//! A running loan: its state, interrupted effects, and its end.

use jiff::Timestamp;

use crate::api::{AccessRecord, CountedDecision, EndReason, EndRecord, RENEW_ANNOTATION, Time};

use super::approval;
use super::case::{Loan, Request};
use super::delivery::failure::Failure;
use super::delivery::first_link::{finish, first_link_until, gives_up_at};
use super::delivery::links::{Links, end_of};
use super::delivery::next_link::{Next, is_here, next_link, no_place};
use super::effect::{Effect, Plan};
use super::inventory::Lookup;
use super::observed::LinkSeen;
use super::people::{first_blocked, is_blocked};
use super::reasons::GrantReason;
use super::status::{self, LoanReport};
use super::vetting::{Vetted, vet_word};

/// Decides about a loan that runs.
pub(super) fn plan(loan: &Loan<'_>, request: &Request<'_>) -> Plan {
    let Loan {
        seen, now, links, ..
    } = *loan;
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
    let state = state(loan, request, &next, word);
    let status = status::of_loan(loan, request, state);
    // If another installation serves the namespace now, it reports the state of the loan; otherwise
    // the last status stays true.
    let status = Some(status).filter(|_| !seen.unserved);
    let notes = status
        .iter()
        .flat_map(|status| status::notes(request, status))
        .collect();
    let ends = [
        links.access_end(),
        links.current().map(end_of).filter(|end| *end > now),
        match next {
            Next::Waits { until, .. } => Some(until),
            Next::NotNeeded { until } => until,
            Next::Check | Next::Issue(_) | Next::Stopped { .. } => None,
        },
        links
            .granted_at()
            .is_none()
            .then(|| gives_up_at(loan, request)),
    ];
    Plan {
        effect,
        status,
        wake: ends.into_iter().flatten().min(),
        notes,
    }
}

/// Decides about a loan whose request is gone: it ends.
pub(super) fn of_deleted_request(loan: &Loan<'_>) -> Plan {
    end(loan, EndReason::Deleted, None)
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
    let only_link_ended = !links.renews() && links.current().is_some_and(|l| now >= end_of(l));
    if only_link_ended {
        return Some(EndReason::LinkEnded);
    }
    let is_refusal = |failure: &Failure| {
        matches!(
            failure,
            Failure::Refused | Failure::NotShareable(_) | Failure::OpensOnce
        )
    };
    let refused = failed_by(loan, is_refusal);
    let failed = refused && finish(loan.seen, links).is_none();
    let given_up = failed || now >= gives_up_at(loan, request);
    if links.granted_at().is_none() && given_up {
        return Some(EndReason::NotIssued);
    }
    None
}

/// Whether the last attempt failed in this way. An attempt that is older than the last intent does
/// not count.
fn failed_by(loan: &Loan<'_>, how: impl Fn(&Failure) -> bool) -> bool {
    let since = loan.record.spec.links.last().map(|l| l.intent_at.0);
    loan.seen
        .attempt
        .as_ref()
        .is_some_and(|a| since.is_none_or(|since| a.at >= since) && how(&a.failure))
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
    if failed_by(loan, differs) {
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
        _ => Effect::EndLoan {
            end: EndRecord {
                reason,
                by: decision.as_ref().map(|d| d.user.clone()),
                at: Time(loan.now),
            },
            decision,
            lost: loan.links.open().map(|l| l.sequence),
            residual_until: loan.links.residual(loan.now).map(Time),
        },
    };
    Plan::effect(effect)
}

fn state(loan: &Loan<'_>, request: &Request<'_>, next: &Next, word: Vetted) -> LoanReport {
    let Loan {
        seen, now, links, ..
    } = *loan;
    let current = links.current();
    let opens = current.filter(|l| now < end_of(l));
    let here = current.is_some_and(|link| is_here(seen, link));
    let (hindered, stalled) = match next {
        Next::Waits { why, stalled, .. } | Next::Stopped { why, stalled } => {
            (Some(why.clone()), *stalled)
        }
        _ => match no_place(loan) {
            Some(why) => (Some(why), true),
            None => (None, false),
        },
    };
    let active = match (current, opens) {
        (Some(_), Some(_)) if here => Ok(()),
        (Some(_), Some(_)) => Err(hindered.unwrap_or((
            GrantReason::LinkSecretMissing,
            format!(
                "somebody deleted the Secret with the link; request another link with the \
                     annotation {RENEW_ANNOTATION}"
            ),
        ))),
        (Some(_), None) => Err(hindered.unwrap_or_else(|| match links.lifetime(now) {
            Some(_) => (
                GrantReason::LinkEnded,
                format!(
                    "the link has ended; request the next one with the annotation \
                         {RENEW_ANNOTATION}"
                ),
            ),
            None => (
                GrantReason::NoTimeForAnotherLink,
                "the link has ended, and too little time remains for \
                 another one"
                    .into(),
            ),
        })),
        (None, _) => Err(hindered.unwrap_or((
            GrantReason::Issuing,
            "the first link is being issued".into(),
        ))),
    };
    LoanReport {
        unconfirmed: word.refuted(),
        active,
        stalled,
        secret: here.then(|| seen.secret_of(loan.uid())),
        ignored: approval::ignored(request, &loan.agreement, &loan.record.spec.decisions),
    }
}
