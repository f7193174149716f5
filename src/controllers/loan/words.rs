//! Translates failed calls to 1Password to the plan's types.

use jiff::Timestamp;

use crate::controllers::words::throttled_until;
use crate::onepassword::{CallError, Problem, Stage};
use crate::plan::retry::Failure;

/// The meaning of a failed call for the loan.
pub fn failure_of(error: &CallError, now: Timestamp) -> Failure {
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
        Problem::NotShareable(_) => Failure::NotShareable(error.to_string()),
        // A conflict may pass; if the item has really changed, the next look reveals it.
        Problem::Conflict
        | Problem::ShareConflict
        | Problem::Unreachable(_)
        | Problem::Unavailable { .. }
        | Problem::Timeout
        | Problem::Broken(_) => Failure::Unanswered(error.to_string()),
    }
}
