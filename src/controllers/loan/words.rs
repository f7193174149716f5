//! What 1Password's answers and the plan's lifetimes are called on the other side of the port.

use jiff::{SignedDuration, Timestamp};

use crate::api::LinkLifetime;
use crate::onepassword::{CallError, Problem, ShareLifetime, Stage};
use crate::plan::retry::Failure;

/// How long to wait where 1Password limits us without saying for how long.
const UNSAID_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// What a failed call means for the loan.
pub fn failure_of(error: &CallError, now: Timestamp) -> Failure {
    match error.problem() {
        Problem::Unauthorized => Failure::Unauthorized,
        // At the sign-in these are no verdict on the item; a firewall may be in between.
        Problem::Forbidden | Problem::NotFound if error.stage() == Stage::SignIn => {
            Failure::Unavailable
        }
        Problem::Forbidden => Failure::Forbidden,
        Problem::NotFound => Failure::NotFound,
        Problem::NotActive => Failure::Archived,
        Problem::RateLimited { retry_after } => {
            let wait = retry_after
                .and_then(|d| SignedDuration::try_from(d).ok())
                .unwrap_or(UNSAID_WAIT);
            Failure::RateLimited {
                until: now.saturating_add(wait).unwrap_or(Timestamp::MAX),
            }
        }
        Problem::Refused(_) => Failure::Refused,
        // A conflict may pass; if the item has really changed, the next look at it tells.
        Problem::Conflict | Problem::Unavailable { .. } | Problem::Timeout | Problem::Broken(_) => {
            Failure::Unavailable
        }
    }
}

/// A lifetime as 1Password names it.
pub fn share_lifetime(lifetime: LinkLifetime) -> ShareLifetime {
    match lifetime {
        LinkLifetime::OneHour => ShareLifetime::OneHour,
        LinkLifetime::OneDay => ShareLifetime::OneDay,
        LinkLifetime::SevenDays => ShareLifetime::SevenDays,
        LinkLifetime::FourteenDays => ShareLifetime::FourteenDays,
        LinkLifetime::ThirtyDays => ShareLifetime::ThirtyDays,
    }
}

/// A lifetime of 1Password's as the plan names it.
pub fn link_lifetime(lifetime: ShareLifetime) -> LinkLifetime {
    match lifetime {
        ShareLifetime::OneHour => LinkLifetime::OneHour,
        ShareLifetime::OneDay => LinkLifetime::OneDay,
        ShareLifetime::SevenDays => LinkLifetime::SevenDays,
        ShareLifetime::FourteenDays => LinkLifetime::FourteenDays,
        ShareLifetime::ThirtyDays => LinkLifetime::ThirtyDays,
    }
}
