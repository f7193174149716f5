//! What a record says of a request: the one entrance that tells a loan's record from a denied request's, and what both begin with.

use crate::api::{
    AccessGrant, AccessRecord, AccessRecordSpec, CountedDecision, Identity, RequestOutcome,
};

use super::terms::Agreement;

/// What a record is about. Nothing but a loan is ever renewed, counted as one, or ended.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// A loan.
    Loan(&'a AccessRecord),
    /// A request that was denied: nothing was lent by it, and nothing is.
    Denial(&'a AccessRecord),
}

impl<'a> About<'a> {
    /// What this record is about.
    pub fn of(record: &'a AccessRecord) -> Self {
        match is_of_a_loan(&record.spec) {
            true => Self::Loan(record),
            false => Self::Denial(record),
        }
    }
}

/// Whether a record is a loan's. Older releases made records of loans only, and no outcome in them.
pub fn is_of_a_loan(record: &AccessRecordSpec) -> bool {
    match record.outcome.unwrap_or(RequestOutcome::Lent) {
        RequestOutcome::Lent => true,
        RequestOutcome::Denied => false,
    }
}

/// The record of a loan about which nothing is known yet but what was agreed.
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

/// The same of a denied request: who asked is kept without the groups, which say nothing about what was denied.
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
