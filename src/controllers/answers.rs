//! Translates 1Password's answers to the plan's types: lifetimes, failures, and how long to wait.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::LinkLifetime;
use crate::onepassword::{CallError, Problem, ShareLifetime, Stage};
use crate::plan::delivery::failure::Failure;
use crate::plan::delivery::share_link::longest_within;

/// How long to wait if 1Password limits requests without saying for how long.
const UNSAID_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// The time until which 1Password asks the operator to wait.
pub(super) fn throttled_until(retry_after: Option<Duration>, now: Timestamp) -> Timestamp {
    let wait = retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
    now.saturating_add(wait.unwrap_or(UNSAID_WAIT))
        .unwrap_or(Timestamp::MAX)
}

/// The lifetime in 1Password's terms of a link that is to open for this long; `None` if there is
/// none that short.
pub(super) fn share_lifetime(opens_for: SignedDuration) -> Option<ShareLifetime> {
    let lifetime = longest_within(opens_for, LinkLifetime::ThirtyDays)?;
    Some(match lifetime {
        LinkLifetime::OneHour => ShareLifetime::OneHour,
        LinkLifetime::OneDay => ShareLifetime::OneDay,
        LinkLifetime::SevenDays => ShareLifetime::SevenDays,
        LinkLifetime::FourteenDays => ShareLifetime::FourteenDays,
        LinkLifetime::ThirtyDays => ShareLifetime::ThirtyDays,
    })
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

/// The meaning of a failed call for the loan.
pub(super) fn failure_of(error: &CallError, now: Timestamp) -> Failure {
    match error.problem() {
        Problem::Unauthorized => Failure::Unauthorized,
        // During the sign-in, these say nothing about the item; a firewall may be in between.
        Problem::Forbidden | Problem::NotFound if error.stage() == Stage::SignIn => {
            Failure::Unanswered(error.to_string())
        }
        Problem::Forbidden => Failure::Forbidden,
        Problem::NotFound => Failure::NotFound,
        Problem::NotActive => Failure::Archived,
        Problem::RateLimited { retry_after } => Failure::RateLimited {
            until: throttled_until(retry_after, now),
        },
        Problem::Refused(_) => Failure::Refused,
        Problem::NotShareable(_) | Problem::CannotShare(_) => {
            Failure::NotShareable(error.to_string())
        }
        // A conflict may pass; if the item has really changed, the next look reveals it.
        Problem::Conflict
        | Problem::ShareConflict
        | Problem::SignInRefused
        | Problem::Unreachable(_)
        | Problem::Unavailable { .. }
        | Problem::Timeout
        | Problem::Broken(_) => Failure::Unanswered(error.to_string()),
    }
}
