//! Why a call failed, derived from the exchanges that the host saw and not from the core's words,
//! which are never shown.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::exchange::{Exchange, NoAnswer, Outcome, Route};
use super::obstacle::Obstacle;
use super::unreached;
use crate::network::Unreached;

/// A failed call: its problem, the stage, and whether it may have left a share behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}{}{stage}", cause_text(.cause))]
pub struct CallError {
    problem: Problem,
    stage: Stage,
    effect: Effect,
    /// The network's explanation.
    cause: Option<Arc<str>>,
}

/// The problem of a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// 401, after the core's own attempt to sign in again.
    #[error(
        "1Password does not accept the service account's token (401): it was revoked, rotated or has expired; put a valid one into the token Secret"
    )]
    Unauthorized,
    /// The first 401 after a success: the token may be fine, because a sign-in that is interrupted for
    /// longer than 1Password remembers its first half ends with a 401, too.
    #[error(
        "1Password refused to sign in with the service account's token (401): it is tried once \
         more, in case the sign-in was only interrupted"
    )]
    SignInRefused,
    /// 403.
    #[error(
        "1Password forbids the request (403): give the service account permission to read and \
         share in this vault, or allow this address in the account's firewall rules"
    )]
    Forbidden,
    /// 404, or an id that cannot exist.
    #[error(
        "the vault or item does not exist in 1Password (404): it was deleted, or the service \
         account cannot see it"
    )]
    NotFound,
    /// 429.
    #[error("1Password's request limit is reached (429): wait {}", retry_after_text(.retry_after))]
    RateLimited {
        /// How long 1Password asks to wait, if it does.
        retry_after: Option<Duration>,
    },
    /// The account's policy does not allow this share.
    #[error("{0}")]
    Refused(Refusal),
    /// The item is archived or deleted, so it cannot be shared.
    #[error("the item is archived in 1Password: restore it to lend it")]
    NotActive,
    /// 409: something changed at the same time; fetch the item again.
    #[error(
        "1Password reports a conflicting change (409): somebody may have changed the item or the \
         vault at the same time"
    )]
    Conflict,
    /// 400, 413 or 422 for a share: 1Password refuses this item.
    #[error(
        "this item cannot be shared: 1Password refuses it ({}); request another item, or have this \
         one changed in 1Password", refusal_text(.0)
    )]
    NotShareable(u16),
    /// The core refuses this item before it asks 1Password for a share.
    #[error("this item cannot be shared: {0}")]
    CannotShare(Obstacle),
    /// 409 for a share: the item was changed at the same time.
    #[error("this item cannot be shared now: 1Password reports a conflicting change (409)")]
    ShareConflict,
    /// No connection could be made.
    #[error("{}", unreached::text(.0))]
    Unreachable(Unreached),
    /// 5xx, or a connection that broke off.
    #[error(
        "1Password is not available ({}): if this lasts, check 1Password's status page",
        status_text(.status)
    )]
    Unavailable {
        /// The status; `None` if the connection failed.
        status: Option<u16>,
    },
    /// The call's time, or one exchange's, was over.
    #[error(
        "1Password did not answer in time: if this lasts, check the network between the operator \
         and 1Password"
    )]
    Timeout,
    /// A failure that should not happen; repeating the call is of little use.
    #[error("{0}")]
    Broken(Fault),
}

/// The rule of the account's policy, or of Keyloan, that forbids a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A recipient is not permitted by the account's policy.
    #[error(
        "the 1Password account's policy does not permit one of the recipients: name other \
         recipients, or change the account's sharing policy"
    )]
    Recipients,
    /// The policy does not allow shares with people named by e-mail.
    #[error(
        "the 1Password account's policy does not allow shares with named recipients: change the account's sharing policy"
    )]
    RecipientKind,
    /// The terms require a longer lifetime than the policy allows; the core would lower it
    /// silently.
    #[error(
        "the link would open for longer than the 1Password account's policy allows: lower \
         linkLifetime in the flow, or limits.maxLinkLifetime in the integration"
    )]
    Lifetime,
}

/// The part that broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// 3xx: a redirect is never followed.
    #[error(
        "1Password's address answered with a redirect ({0}), which Keyloan never follows: check \
         for a portal or proxy in between, and check the token's sign-in address"
    )]
    Redirect(u16),
    /// Another status that the call should not have.
    #[error(
        "1Password answered with the unexpected status {0}: check for a proxy in between, or for a \
         newer version of Keyloan"
    )]
    Status(u16),
    /// The answer was larger than the cap.
    #[error(
        "1Password's answer was larger than allowed: raise --max-response (chart value \
         onepassword.maxResponse) if the item or vault is really that large"
    )]
    TooLarge,
    /// The core requested another origin than its token's.
    #[error(
        "the SDK core tried to connect to an origin other than its token's; the connection was \
         blocked"
    )]
    ForeignRequest,
    /// The answers were valid HTTP, but the core could not make sense of them.
    #[error(
        "the SDK core could not make sense of 1Password's answers: check for a proxy in between, \
         or for a newer version of Keyloan"
    )]
    Answer,
    /// The core refused the call before any request.
    #[error("the SDK core refused the call: check for a newer version of Keyloan")]
    Call,
    /// The core's output was not as expected.
    #[error(
        "the SDK core's output was not understood: this version of Keyloan does not fit its \
         core"
    )]
    Output,
    /// The sandbox stopped the core: too much CPU time.
    #[error("the SDK core used up the CPU time of one call and was stopped")]
    Cpu,
    /// The core trapped, as it does on nonsensical answers, or ran out of its memory. It is started
    /// again.
    #[error(
        "the SDK core crashed: check for a proxy that garbles 1Password's answers, or for an item \
         or vault too large for its memory"
    )]
    Trap,
    /// The sandbox could not be set up.
    #[error("the SDK core's sandbox could not be started: check that there is enough memory")]
    Sandbox,
}

/// The stage of the call in which the problem occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Signing in, for the first time or again: the problem concerns the token, and so everything
    /// that the integration does.
    SignIn,
    /// The call itself: a [`Problem::Forbidden`] or [`Problem::NotFound`] concerns only that vault
    /// or item.
    Call,
}

/// Whether a failed call may have changed something in 1Password, that is, whether a share may
/// exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// No share exists: its creation was never sent, or the host saw it refused (4xx).
    None,
    /// A share may exist, but its key is lost forever.
    Possible,
}

impl CallError {
    /// The problem.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// The stage.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether a share may exist nevertheless.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// An error with all its parts, for adapters and for fakes in tests.
    pub fn new(problem: Problem, stage: Stage, effect: Effect) -> Self {
        Self {
            problem,
            stage,
            effect,
            cause: None,
        }
    }

    /// An error before anything was sent.
    pub fn unsent(problem: Problem) -> Self {
        Self::new(problem, Stage::Call, Effect::None)
    }

    /// Derives the error from the exchanges; if they were all answered well, `otherwise` is the
    /// problem.
    pub fn from_exchanges(exchanges: &[Exchange], otherwise: Problem) -> Self {
        let stage = stage_of(exchanges);
        let failed = failed(exchanges);
        let problem = failed.and_then(|exchange| problem_of(exchange, stage));
        Self {
            cause: failed.and_then(|exchange| exchange.cause.clone()),
            ..Self::new(problem.unwrap_or(otherwise), stage, effect_of(exchanges))
        }
    }

    /// The same error, of which it is not known yet whether it is the token's fault.
    pub fn in_doubt(self) -> Self {
        Self {
            problem: Problem::SignInRefused,
            stage: Stage::SignIn,
            ..self
        }
    }

    /// A problem that the host itself has observed, whatever the answers to the exchanges before
    /// it.
    pub fn by_host(exchanges: &[Exchange], problem: Problem) -> Self {
        Self::new(problem, stage_of(exchanges), effect_of(exchanges))
    }
}

/// The exchange at which the call failed: the last one that was not answered well. (The core may
/// make another request before it reads an answer.) A 401 that led to a new sign-in is not the
/// failure.
fn failed(exchanges: &[Exchange]) -> Option<&Exchange> {
    let renewed = exchanges
        .iter()
        .rposition(|it| it.route == Route::AuthComplete && accepted(it));
    let since = &exchanges[renewed.map_or(0, |index| index + 1)..];
    since.iter().rfind(|exchange| !accepted(exchange))
}

fn stage_of(exchanges: &[Exchange]) -> Stage {
    match failed(exchanges) {
        Some(exchange) if exchange.route.is_sign_in() => Stage::SignIn,
        _ => Stage::Call,
    }
}

fn accepted(exchange: &Exchange) -> bool {
    exchange
        .status()
        .is_some_and(|status| (200..300).contains(&status))
}

fn problem_of(exchange: &Exchange, stage: Stage) -> Option<Problem> {
    Some(match exchange.outcome {
        Outcome::Answered {
            status,
            retry_after,
            ..
        } => match status {
            200..=299 => return None,
            300..=399 => Problem::Broken(Fault::Redirect(status)),
            401 => Problem::Unauthorized,
            403 => Problem::Forbidden,
            404 if stage == Stage::Call => Problem::NotFound,
            400 | 413 | 422 if exchange.route == Route::Share => Problem::NotShareable(status),
            409 if exchange.route == Route::Share => Problem::ShareConflict,
            409 if stage == Stage::Call => Problem::Conflict,
            429 => Problem::RateLimited { retry_after },
            500..=599 => Problem::Unavailable {
                status: Some(status),
            },
            _ => Problem::Broken(Fault::Status(status)),
        },
        Outcome::Silent(NoAnswer::Connect(why)) => Problem::Unreachable(why),
        Outcome::Silent(NoAnswer::Interrupted) => Problem::Unavailable { status: None },
        Outcome::Silent(NoAnswer::Timeout | NoAnswer::TooLate) => Problem::Timeout,
        Outcome::Silent(NoAnswer::TooLarge) => Problem::Broken(Fault::TooLarge),
        Outcome::Silent(NoAnswer::Foreign) => Problem::Broken(Fault::ForeignRequest),
    })
}

fn effect_of(exchanges: &[Exchange]) -> Effect {
    let harmless = |exchange: &Exchange| match exchange.outcome {
        Outcome::Answered { status, .. } => (400..500).contains(&status),
        Outcome::Silent(_) => !exchange.was_sent(),
    };
    let mut attempts = exchanges
        .iter()
        .filter(|exchange| matches!(exchange.route, Route::Share | Route::Unknown));
    if attempts.all(harmless) {
        Effect::None
    } else {
        Effect::Possible
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignIn => f.write_str(" (while signing in)"),
            Self::Call => Ok(()),
        }
    }
}

fn retry_after_text(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(
        || "a while".to_owned(),
        |wait| format!("{} s", wait.as_secs()),
    )
}

fn status_text(status: &Option<u16>) -> String {
    status.map_or_else(
        || "the connection broke off".to_owned(),
        |status| status.to_string(),
    )
}

fn refusal_text(status: &u16) -> &'static str {
    match status {
        413 => "413: the item is too large, for example because of its attachments",
        422 => "422: an item of this kind cannot be shared",
        _ => "400: the request is not accepted for this item",
    }
}

fn cause_text(cause: &Option<Arc<str>>) -> String {
    cause
        .as_ref()
        .map_or_else(String::new, |cause| format!(" ({cause})"))
}

#[cfg(test)]
mod tests;
