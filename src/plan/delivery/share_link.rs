//! The lifetimes of 1Password's share links. There are five, and none can be changed once a link is
//! made.

use jiff::SignedDuration;

use crate::api::{LinkLifetime, OnePasswordIntegration};

/// All lifetimes of 1Password's links, the longest first.
const LIFETIMES: [LinkLifetime; 5] = [
    LinkLifetime::ThirtyDays,
    LinkLifetime::FourteenDays,
    LinkLifetime::SevenDays,
    LinkLifetime::OneDay,
    LinkLifetime::OneHour,
];

/// The length of a lifetime.
pub fn length(lifetime: LinkLifetime) -> SignedDuration {
    SignedDuration::from_hours(match lifetime {
        LinkLifetime::OneHour => 1,
        LinkLifetime::OneDay => 24,
        LinkLifetime::SevenDays => 7 * 24,
        LinkLifetime::FourteenDays => 14 * 24,
        LinkLifetime::ThirtyDays => 30 * 24,
    })
}

/// The longest of 1Password's lifetimes that fits into a span and under a maximum.
pub fn longest_within(span: SignedDuration, ceiling: LinkLifetime) -> Option<LinkLifetime> {
    LIFETIMES
        .into_iter()
        .find(|l| *l <= ceiling && length(*l) <= span)
}

/// The lifetime of a link, limited by the integration's maximum.
pub fn link_ceiling(integration: &OnePasswordIntegration, lifetime: LinkLifetime) -> LinkLifetime {
    let limits = integration.spec.limits.as_ref();
    limits.map_or(lifetime, |limits| limits.max_link_lifetime.min(lifetime))
}
