//! Times and spans of requests.

use jiff::{SignedDuration, Timestamp};

use crate::api::AgreedApproval;

/// How long a request may wait for anything but approval before it lapses. The time starts again
/// with the approval.
pub(super) const LAPSES_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// How long a request waits for these approvals.
pub(super) fn timeout(approval: &AgreedApproval) -> SignedDuration {
    approval.timeout.parse().unwrap_or(LAPSES_AFTER)
}

/// A time and a span after it.
pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
