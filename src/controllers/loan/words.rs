//! What a failed call to 1Password is called on the other side of the port.

use jiff::Timestamp;

use crate::controllers::conversions::throttled_until;
use crate::onepassword::{CallError, Problem, Stage};
use crate::plan::retry::Failure;

/// What a failed call means for the loan.
pub fn failure_of(error: &CallError, now: Timestamp) -> Failure {
    match error.problem() {
        Problem::Unauthorized => Failure::Unauthorized,
        // At the sign-in these are no verdict on the item; a firewall may be in between.
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
        // A conflict may pass; if the item has really changed, the next look at it tells.
        Problem::Conflict
        | Problem::ShareConflict
        | Problem::Unreachable(_)
        | Problem::Unavailable { .. }
        | Problem::Timeout
        | Problem::Broken(_) => Failure::Unanswered(error.to_string()),
    }
}
