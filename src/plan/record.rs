//! The content of a record: whether it is a loan's or a request's that was not granted, the parts that both share,
//! and what to say about its end.

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{
    AccessGrant, AccessRecord, AccessRecordSpec, CountedDecision, EndReason, EndRecord, Identity,
    RESTORE_LABELS, RequestOutcome,
};

use super::reasons::GrantReason;
use super::terms::Agreement;

/// Whether a record is a loan's. Older releases made records only for loans, without an outcome.
pub fn is_of_a_loan(record: &AccessRecordSpec) -> bool {
    match record.outcome.unwrap_or(RequestOutcome::Lent) {
        RequestOutcome::Lent => true,
        RequestOutcome::Denied
        | RequestOutcome::TakenBack
        | RequestOutcome::Lapsed
        | RequestOutcome::Failed => false,
    }
}

/// The restore that brought a record back from a backup, if one did.
pub fn restored_by(record: &AccessRecord) -> Option<&str> {
    let label = |name: &&str| record.labels().get(*name);
    RESTORE_LABELS.iter().find_map(label).map(String::as_str)
}

/// Whether a record is in the namespace of its own terms' integration, as each of the operator's
/// is. Any other one was written by somebody else, and is ignored.
pub fn is_in_its_ledger(record: &AccessRecord) -> bool {
    record.metadata.namespace.as_ref() == Some(&record.spec.terms.integration.namespace)
}

/// The time from which a record counts as kept: the time at which nothing of it opened any longer
/// or, for a restored one, that of its restore.
pub fn kept_from(record: &AccessRecord, end: &EndRecord) -> Timestamp {
    let over_at = over_at(&record.spec, end);
    let restored = restored_by(record).and(record.creation_timestamp());
    restored.map_or(over_at, |at| over_at.max(at.0))
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
        EndReason::Restored => (
            GrantReason::Restored,
            "the record of this request was restored from a backup, so it lends nothing; request \
             again",
        ),
        EndReason::Denied => (GrantReason::Denied, "the request was denied"),
        EndReason::TakenBack => (GrantReason::Revoked, "the request was taken back"),
        EndReason::Lapsed => (
            GrantReason::Lapsed,
            "the request was not approved or not started in time",
        ),
        EndReason::Failed => (GrantReason::NotStarted, "the request could not be granted"),
    }
}

/// The record of a loan of which only the agreement is known yet.
pub fn of_loan(
    grant: Option<&AccessGrant>,
    agreement: &Agreement,
    decisions: Vec<CountedDecision>,
) -> AccessRecordSpec {
    let requested_at = grant.and_then(|grant| grant.metadata.creation_timestamp.clone());
    AccessRecordSpec {
        grant: agreement.grant.clone(),
        install: None,
        requester: agreement.requester.clone(),
        justification: grant.and_then(|grant| grant.spec.justification.clone()),
        requested_on: requested_at.as_ref().map(|at| day_of(at.0)),
        requested_at,
        outcome: Some(RequestOutcome::Lent),
        terms: agreement.terms.clone(),
        digest: agreement.digest.clone(),
        decisions,
        ignored_decisions: Vec::new(),
        considered_flows: Vec::new(),
        granted_at: None,
        expires_at: None,
        links: Vec::new(),
        end: None,
        residual_until: None,
    }
}

/// The same for a request that was not granted. The requester is kept without the groups, which are
/// irrelevant to that.
pub(super) fn of_unlent(
    grant: &AccessGrant,
    agreement: &Agreement,
    decisions: Vec<CountedDecision>,
    outcome: RequestOutcome,
) -> AccessRecordSpec {
    let of_loan = of_loan(Some(grant), agreement, decisions);
    AccessRecordSpec {
        requester: Identity {
            groups: Vec::new(),
            ..of_loan.requester
        },
        outcome: Some(outcome),
        ..of_loan
    }
}

/// The day in UTC, as field selectors have it.
pub fn day_of(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}
