//! Deadlines of requests: for approval, for the start, for anything else.

use jiff::{SignedDuration, Timestamp};

use crate::api::{AccessGrant, AgreedApproval};

/// How long a request may wait for anything but approval before it lapses. The time starts again
/// with the approval.
const LAPSES_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// The deadline of a request before it is looked up: a day, or the time that its approval needed at
/// the last look.
pub(super) fn patience(grant: &AccessGrant, now: Timestamp) -> Timestamp {
    let status = grant.status.as_ref();
    let terms = status.and_then(|s| s.terms.as_ref());
    let waits = terms
        .and_then(|t| t.approval.as_ref())
        .map_or(LAPSES_AFTER, |approval| timeout(approval).max(LAPSES_AFTER));
    let approved = status.into_iter().flat_map(|s| &s.decisions);
    let starts = approved.map(|d| later(d.at.0, LAPSES_AFTER)).max();
    let patience = later(created(grant, now), waits);
    not_after(
        grant,
        starts.map_or(patience, |starts| starts.max(patience)),
    )
}

/// The deadline for approvals.
pub(super) fn approval_until(
    grant: &AccessGrant,
    approval: &AgreedApproval,
    now: Timestamp,
) -> Timestamp {
    not_after(grant, later(created(grant, now), timeout(approval)))
}

/// The deadline for starting a request that was approved at this time, or that needed no approval.
pub(super) fn starts_until(
    grant: &AccessGrant,
    approved_at: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    let from = approved_at.unwrap_or_else(|| created(grant, now));
    not_after(grant, later(from, LAPSES_AFTER))
}

/// A time and a span after it.
pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn timeout(approval: &AgreedApproval) -> SignedDuration {
    approval.timeout.parse().unwrap_or(LAPSES_AFTER)
}

fn created(grant: &AccessGrant, now: Timestamp) -> Timestamp {
    let created = grant.metadata.creation_timestamp.as_ref();
    created.map_or(now, |t| t.0)
}

fn not_after(grant: &AccessGrant, limit: Timestamp) -> Timestamp {
    let not_after = grant.spec.not_after.as_ref();
    not_after.map_or(limit, |t| t.0.min(limit))
}
