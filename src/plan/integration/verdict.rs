//! Verdicts, from which conditions are made, and the texts that they share.

use crate::plan::reasons::IntegrationReason;

use super::schedule::retry_at;
use super::seen::{Failure, FailureKind};

/// Whether a condition holds, the reason, and what to do.
pub(super) struct Verdict {
    pub(super) holds: Option<bool>,
    pub(super) reason: IntegrationReason,
    pub(super) message: String,
}

pub(super) fn yes(reason: IntegrationReason, message: impl Into<String>) -> Verdict {
    Verdict {
        holds: Some(true),
        reason,
        message: message.into(),
    }
}

pub(super) fn no(reason: IntegrationReason, message: impl Into<String>) -> Verdict {
    Verdict {
        holds: Some(false),
        reason,
        message: message.into(),
    }
}

pub(super) fn unknown(reason: IntegrationReason, message: impl Into<String>) -> Verdict {
    Verdict {
        holds: None,
        reason,
        message: message.into(),
    }
}

pub(super) fn reason_of(kind: FailureKind) -> IntegrationReason {
    match kind {
        FailureKind::Rejected => IntegrationReason::TokenRejected,
        FailureKind::Forbidden => IntegrationReason::SignInForbidden,
        FailureKind::Unavailable => IntegrationReason::OnePasswordUnavailable,
        FailureKind::Broken => IntegrationReason::OnePasswordBroken,
        FailureKind::RateLimited => IntegrationReason::RateLimited,
    }
}

pub(super) fn with_next_try(failure: &Failure) -> String {
    let message = sentence(&failure.message);
    match retry_at(failure) {
        Some(at) if at > failure.at => format!("{message} Next try at {at:.0}."),
        _ => message,
    }
}

/// Adds an initial capital letter and a final full stop.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
        .unwrap_or_default()
}
