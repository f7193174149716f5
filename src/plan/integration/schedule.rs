//! When to list an integration's vaults anew, and when to look at the integration again.

use jiff::{SignedDuration, Timestamp};

use crate::api::OnePasswordIntegration;

use super::seen::{Failure, FailureKind, Observed, TokenSeen};

/// People are warned so long before the token expires.
pub(super) const EXPIRY_WARNING: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Without a usable interval in the spec, which the schema rules out.
const USUAL_INTERVAL: SignedDuration = SignedDuration::from_hours(24);

/// When a discovery is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Not before something changes.
    Never,
    /// Now.
    Now,
    /// Then.
    At(Timestamp),
}

/// When the next discovery is due.
pub(super) fn discovery_due(seen: &Observed<'_>, now: Timestamp) -> Due {
    let spec = &seen.integration.spec;
    let failure = seen.session.failure.as_ref();
    let rejected = failure.is_some_and(|failure| failure.kind == FailureKind::Rejected);
    if spec.suspend || rejected || !matches!(seen.token, TokenSeen::Usable { .. }) {
        return Due::Never;
    }
    let by_interval = match seen.discovery {
        // What fails is found out about by another try, and not left until the interval is over.
        Some(discovery) if discovery.allowed == spec.vaults && failure.is_none() => {
            later(discovery.at, interval(seen.integration))
        }
        _ => now,
    };
    let not_before = [
        failure.and_then(retry_at),
        seen.session.throttled_until,
        seen.room_from,
    ];
    let due = not_before
        .into_iter()
        .flatten()
        .fold(by_interval, Timestamp::max);
    if due <= now { Due::Now } else { Due::At(due) }
}

/// When to try again after a failure; `None` if trying again is of no use.
pub fn retry_at(failure: &Failure) -> Option<Timestamp> {
    let (first, last) = match failure.kind {
        FailureKind::Rejected => return None,
        // It may be a firewall rule, which people change in their own time.
        FailureKind::Forbidden => (SignedDuration::from_mins(10), SignedDuration::from_hours(1)),
        FailureKind::Unavailable => (SignedDuration::from_secs(5), SignedDuration::from_mins(10)),
        FailureKind::Broken => (SignedDuration::from_secs(30), SignedDuration::from_hours(1)),
        // The breaker says when.
        FailureKind::RateLimited => return Some(failure.at),
    };
    let doubled = first.saturating_mul(1 << failure.count.saturating_sub(1).min(12));
    Some(later(failure.at, doubled.min(last)))
}

/// When to look again: when a discovery is due, and when the status will say something else.
pub(super) fn wake(seen: &Observed<'_>, due: Due, now: Timestamp) -> Option<Timestamp> {
    let discovery = match due {
        Due::At(at) => Some(at),
        Due::Now | Due::Never => None,
    };
    let expiry = expires_at(seen.integration);
    let warning = expiry.and_then(|at| at.checked_sub(EXPIRY_WARNING).ok());
    [discovery, seen.session.throttled_until, expiry, warning]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .min()
}

/// When the token expires, by the spec.
pub(super) fn expires_at(integration: &OnePasswordIntegration) -> Option<Timestamp> {
    let source = integration.spec.auth.service_account_token.as_ref()?;
    source.expires_at.as_ref().map(|time| time.0)
}

fn interval(integration: &OnePasswordIntegration) -> SignedDuration {
    integration
        .spec
        .discovery_interval
        .parse()
        .unwrap_or(USUAL_INTERVAL)
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
