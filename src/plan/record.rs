//! The content of a record: whether it is a loan's or a denied request's, the parts that both share,
//! and what to say about its end.

use jiff::Timestamp;

use crate::api::{
    AccessGrant, AccessRecordSpec, CountedDecision, EndReason, EndRecord, Identity, RequestOutcome,
};

use super::reasons::GrantReason;
use super::terms::Agreement;

/// Whether a record is a loan's. Older releases made records only for loans, without an outcome.
pub fn is_of_a_loan(record: &AccessRecordSpec) -> bool {
    match record.outcome.unwrap_or(RequestOutcome::Lent) {
        RequestOutcome::Lent => true,
        RequestOutcome::Denied => false,
    }
}

/// The time at which nothing of an ended loan opens any longer.
pub fn over_at(record: &AccessRecordSpec, end: &EndRecord) -> Timestamp {
    let residual = record.residual_until.as_ref().map(|t| t.0);
    residual.map_or(end.at.0, |residual| residual.max(end.at.0))
}

/// The reason for which a loan ended, and what to say about it.
pub fn ending(reason: EndReason) -> (GrantReason, &'static str) {
    match reason {
        EndReason::Expired => (GrantReason::Expired, "the loan's time is over"),
        EndReason::Revoked => (GrantReason::Revoked, "the loan was revoked"),
        EndReason::Deleted => (GrantReason::Deleted, "the grant was deleted"),
        EndReason::ItemChanged => (
            GrantReason::ItemChanged,
            "the item was changed in 1Password; request again for the new version",
        ),
        EndReason::Blocked => (
            GrantReason::Blocked,
            "the integration's owners have blocked the requester or a recipient",
        ),
        EndReason::LinkEnded => (GrantReason::LinkEnded, "the loan's only link has ended"),
        EndReason::NotIssued => (
            GrantReason::NotIssued,
            "no link could be issued; remove the cause, then request again",
        ),
        EndReason::Denied => (GrantReason::Denied, "the request was denied"),
    }
}

/// The record of a loan of which only the agreement is known yet.
pub fn of_loan(
    grant: Option<&AccessGrant>,
    agreement: &Agreement,
    decisions: Vec<CountedDecision>,
) -> AccessRecordSpec {
    AccessRecordSpec {
        grant: agreement.grant.clone(),
        install: None,
        requester: agreement.requester.clone(),
        justification: grant.and_then(|grant| grant.spec.justification.clone()),
        requested_at: grant.and_then(|grant| grant.metadata.creation_timestamp.clone()),
        outcome: Some(RequestOutcome::Lent),
        terms: agreement.terms.clone(),
        digest: agreement.digest.clone(),
        decisions,
        links: Vec::new(),
        end: None,
        residual_until: None,
    }
}

/// The same for a denied request. The requester is kept without the groups, which are irrelevant to
/// the denial.
pub(super) fn of_denial(
    grant: &AccessGrant,
    agreement: &Agreement,
    decisions: Vec<CountedDecision>,
) -> AccessRecordSpec {
    let of_loan = of_loan(Some(grant), agreement, decisions);
    AccessRecordSpec {
        requester: Identity {
            groups: Vec::new(),
            ..of_loan.requester
        },
        outcome: Some(RequestOutcome::Denied),
        ..of_loan
    }
}
