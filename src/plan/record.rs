//! The content of a record: whether it is a loan's or a denied request's, and the parts that both
//! share.

use jiff::Timestamp;

use crate::api::{
    AccessGrant, AccessRecordSpec, CountedDecision, EndRecord, Identity, RequestOutcome,
};

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
