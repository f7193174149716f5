//! What 1Password's answers are called on the other side of the port: lifetimes, and until when it asks us to wait.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::LinkLifetime;
use crate::onepassword::ShareLifetime;

/// How long to wait where 1Password limits us and does not say for how long.
const UNSAID_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// Until when 1Password asks us to wait.
pub(super) fn throttled_until(retry_after: Option<Duration>, now: Timestamp) -> Timestamp {
    let wait = retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
    now.saturating_add(wait.unwrap_or(UNSAID_WAIT))
        .unwrap_or(Timestamp::MAX)
}

/// A lifetime as 1Password names it.
pub(super) fn share_lifetime(lifetime: LinkLifetime) -> ShareLifetime {
    match lifetime {
        LinkLifetime::OneHour => ShareLifetime::OneHour,
        LinkLifetime::OneDay => ShareLifetime::OneDay,
        LinkLifetime::SevenDays => ShareLifetime::SevenDays,
        LinkLifetime::FourteenDays => ShareLifetime::FourteenDays,
        LinkLifetime::ThirtyDays => ShareLifetime::ThirtyDays,
    }
}

/// A lifetime of 1Password's as the plan names it.
pub(super) fn link_lifetime(lifetime: ShareLifetime) -> LinkLifetime {
    match lifetime {
        ShareLifetime::OneHour => LinkLifetime::OneHour,
        ShareLifetime::OneDay => LinkLifetime::OneDay,
        ShareLifetime::SevenDays => LinkLifetime::SevenDays,
        ShareLifetime::FourteenDays => LinkLifetime::FourteenDays,
        ShareLifetime::ThirtyDays => LinkLifetime::ThirtyDays,
    }
}
