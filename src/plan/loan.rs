//! A running loan: its state, interrupted effects, and its end.

use jiff::Timestamp;

use crate::api::{
    AccessRecord, CountedDecision, EndReason, EndRecord, IgnoredDecision, RENEW_ANNOTATION, Time,
};

use super::approval;
use super::effect::{Effect, Plan};
use super::first_link::{finish, first_link_until, gives_up_at};
use super::inventory::Lookup;
use super::links::{Links, end_of};
use super::next_link::{Next, is_here, next_link, no_place};
use super::observed::{LinkSeen, Observed};
use super::people::{first_blocked, is_blocked};
use super::reasons::GrantReason;
use super::retry::Failure;
use super::status::{self, LoanState};
use super::terms::Agreement;
use super::vetting::{Vetted, vet_word};

/// Decides about a loan that has a record and has not ended.
pub fn plan(seen: &Observed, record: &AccessRecord, now: Timestamp) -> Plan {
    let links = Links::of(&record.spec);
    if let Some(reason) = end_due(seen, record, now) {
        return end(seen, record, reason, None, now);
    }
    let agreement = Agreement::of(record);
    if let Some(no) = approval::revocation(&seen.decisions, &agreement, links.granted_at()) {
        return end(seen, record, EndReason::Revoked, Some(no), now);
    }
    let Some(grant) = seen.grant_of(record) else {
        return Plan::default();
    };
    if let Some(effect) = finish(seen, links) {
        return Plan {
            effect: Some(effect),
            ..Plan::default()
        };
    }
    let next = next_link(seen, record, grant, now);
    let word = vet_word(seen, record, grant, now);
    let effect = match (&next, &word) {
        (Next::Issue(issue), _) => Some(Effect::IssueLink(issue.clone())),
        (Next::Check, _) | (_, Vetted::AfterACheck) => Some(Effect::CheckBoundary),
        _ => None,
    };
    let counted = &record.spec.decisions;
    let ignored = approval::unheeded(seen, grant, &agreement, counted, now);
    let state = state(seen, record, &next, word, ignored, now);
    let status = status::of_loan(grant, record, state, now);
    // If another installation serves the namespace now, it reports the state of the loan; otherwise
    // the last status stays true.
    let status = Some(status).filter(|_| !seen.unserved);
    let notes = status
        .iter()
        .flat_map(|status| status::notes(grant, status))
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
            .then(|| gives_up_at(seen, record, grant, now)),
    ];
    Plan {
        effect,
        status,
        wake: ends.into_iter().flatten().min(),
        notes,
    }
}

/// The reason why the loan is over, if so. Nothing here depends on a healthy flow, integration or
/// 1Password.
fn end_due(seen: &Observed, record: &AccessRecord, now: Timestamp) -> Option<EndReason> {
    let links = Links::of(&record.spec);
    let Some(grant) = seen.grant_of(record) else {
        return Some(EndReason::Deleted);
    };
    if links.loan_end().is_some_and(|end| now >= end) {
        return Some(EndReason::Expired);
    }
    if blocked(seen, record) {
        return Some(EndReason::Blocked);
    }
    if item_changed(seen, record) {
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
    let refused = failed_by(seen, record, is_refusal);
    let failed = refused && finish(seen, links).is_none();
    let given_up = failed || now >= gives_up_at(seen, record, grant, now);
    if links.granted_at().is_none() && given_up {
        return Some(EndReason::NotIssued);
    }
    None
}

/// Whether the last attempt failed in this way. An attempt that is older than the last intent does
/// not count.
fn failed_by(seen: &Observed, record: &AccessRecord, how: impl Fn(&Failure) -> bool) -> bool {
    let since = record.spec.links.last().map(|l| l.intent_at.0);
    seen.attempt
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
fn blocked(seen: &Observed, record: &AccessRecord) -> bool {
    let (spec, blocked) = (&record.spec, seen.blocked());
    is_blocked(&spec.requester, blocked)
        || first_blocked(spec.terms.recipients.iter(), blocked).is_some()
}

/// Security teams rotate a password to cut a person off; a link to the new password would undo
/// that. This also holds before the first link: the agreement in a record cannot change.
fn item_changed(seen: &Observed, record: &AccessRecord) -> bool {
    let differs = |f: &Failure| matches!(f, Failure::ItemChanged | Failure::ItemDiffers);
    if failed_by(seen, record, differs) {
        return true;
    }
    let terms = &record.spec.terms;
    let inventory = seen.integration.as_ref().and_then(|i| i.inventory.as_ref());
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
fn end(
    seen: &Observed,
    record: &AccessRecord,
    reason: EndReason,
    decision: Option<CountedDecision>,
    now: Timestamp,
) -> Plan {
    let links = Links::of(&record.spec);
    let effect = match seen.link {
        LinkSeen::Present { .. } if seen.undeleted.is_none() => Effect::DeleteLink,
        _ => Effect::EndLoan {
            end: EndRecord {
                reason,
                by: decision.as_ref().map(|d| d.user.clone()),
                at: Time(now),
            },
            decision,
            lost: links.open().map(|l| l.sequence),
            residual_until: links.residual(now).map(Time),
        },
    };
    Plan {
        effect: Some(effect),
        ..Plan::default()
    }
}

fn state(
    seen: &Observed,
    record: &AccessRecord,
    next: &Next,
    word: Vetted,
    ignored: Vec<IgnoredDecision>,
    now: Timestamp,
) -> LoanState {
    let links = Links::of(&record.spec);
    let current = links.current();
    let opens = current.filter(|l| now < end_of(l));
    let here = current.is_some_and(|link| is_here(seen, link));
    let (hindered, stalled) = match next {
        Next::Waits { why, stalled, .. } | Next::Stopped { why, stalled } => {
            (Some(why.clone()), *stalled)
        }
        _ => match no_place(seen, record) {
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
    LoanState {
        unconfirmed: word.refuted(),
        active,
        stalled,
        secret: here.then(|| seen.secret_of(&record.spec.grant.uid)),
        ignored,
    }
}
