//! Translates 1Password's answers to the plan's types: lifetimes, and how long to wait.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::LinkLifetime;
use crate::onepassword::ShareLifetime;

/// How long to wait if 1Password limits requests without saying for how long.
const UNSAID_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// The time until which 1Password asks the operator to wait.
pub(super) fn throttled_until(retry_after: Option<Duration>, now: Timestamp) -> Timestamp {
    let wait = retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
    now.saturating_add(wait.unwrap_or(UNSAID_WAIT))
        .unwrap_or(Timestamp::MAX)
}

/// A lifetime in 1Password's terms.
pub(super) fn share_lifetime(lifetime: LinkLifetime) -> ShareLifetime {
    match lifetime {
        LinkLifetime::OneHour => ShareLifetime::OneHour,
        LinkLifetime::OneDay => ShareLifetime::OneDay,
        LinkLifetime::SevenDays => ShareLifetime::SevenDays,
        LinkLifetime::FourteenDays => ShareLifetime::FourteenDays,
        LinkLifetime::ThirtyDays => ShareLifetime::ThirtyDays,
    }
}

/// A lifetime of 1Password's in the plan's terms.
pub(super) fn link_lifetime(lifetime: ShareLifetime) -> LinkLifetime {
    match lifetime {
        ShareLifetime::OneHour => LinkLifetime::OneHour,
        ShareLifetime::OneDay => LinkLifetime::OneDay,
        ShareLifetime::SevenDays => LinkLifetime::SevenDays,
        ShareLifetime::FourteenDays => LinkLifetime::FourteenDays,
        ShareLifetime::ThirtyDays => LinkLifetime::ThirtyDays,
    }
}
