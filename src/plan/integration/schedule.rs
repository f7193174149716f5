//! When to list an integration's vaults again, and when to look at the integration again.

use jiff::{SignedDuration, Timestamp};

use crate::api::OnePasswordIntegration;

use super::seen::{Discovery, Failure, FailureKind, Findings, Observed, TokenSeen};

/// How long before the token's expiry people are warned.
pub(super) const EXPIRY_WARNING: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The interval if the spec has no usable one, which the schema rules out.
const USUAL_INTERVAL: SignedDuration = SignedDuration::from_hours(24);

/// The longest interval while the integration cannot lend because of what the discovery found: people
/// mend that in 1Password, which tells nobody.
const AMISS_INTERVAL: SignedDuration = SignedDuration::from_hours(1);

/// The time of the next discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Only after something changes.
    Never,
    /// Now.
    Now,
    /// At this time.
    At(Timestamp),
}

/// The time of the next discovery.
pub(super) fn discovery_due(seen: &Observed<'_>, now: Timestamp) -> Due {
    let spec = &seen.integration.spec;
    let failure = seen.session.failure.as_ref();
    let rejected = failure.is_some_and(|failure| failure.kind == FailureKind::Rejected);
    if spec.suspend || rejected || !matches!(seen.token, TokenSeen::Usable { .. }) {
        return Due::Never;
    }
    let by_interval = match seen.discovery {
        // After a failure the operator retries, without waiting for the interval.
        Some(discovery) if discovery.allowed == spec.vaults && failure.is_none() => {
            let interval = interval(seen.integration);
            let until = if is_as_it_should_be(seen, discovery) {
                interval
            } else {
                interval.min(AMISS_INTERVAL)
            };
            later(discovery.at, until)
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

/// Whether a discovery found vaults, and that their items can be shared with named people.
fn is_as_it_should_be(seen: &Observed<'_>, discovery: &Discovery) -> bool {
    let lends = seen.inventory.is_some_and(|inventory| {
        !inventory.vaults.is_empty() && inventory.policy.is_some_and(|policy| policy.named_people)
    });
    lends && discovery.findings == Findings::default()
}

/// The time of the retry after a failure; `None` if a retry is useless.
pub fn retry_at(failure: &Failure) -> Option<Timestamp> {
    let (first, last) = match failure.kind {
        FailureKind::Rejected => return None,
        // The cause may be a firewall rule, which people change in their own time.
        FailureKind::Forbidden => (SignedDuration::from_mins(10), SignedDuration::from_hours(1)),
        FailureKind::Unavailable => (SignedDuration::from_secs(5), SignedDuration::from_mins(10)),
        FailureKind::Broken => (SignedDuration::from_secs(30), SignedDuration::from_hours(1)),
        // The circuit breaker knows the time.
        FailureKind::RateLimited => return Some(failure.at),
    };
    let doubled = first.saturating_mul(1 << failure.count.saturating_sub(1).min(12));
    Some(later(failure.at, doubled.min(last)))
}

/// The time of the next look: when a discovery is due, or when the status will change.
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

/// The token's expiry date from the spec.
pub fn expires_at(integration: &OnePasswordIntegration) -> Option<Timestamp> {
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
