//! The state of the token: problems with its Secret, 1Password's answer to it, and its expiry.

use jiff::Timestamp;

use crate::plan::reasons::integration as reasons;

use super::schedule::{EXPIRY_WARNING, expires_at};
use super::seen::{FailureKind, Observed, TokenSeen};
use super::verdict::{Verdict, no, reason_of, sentence, unknown, with_next_try, yes};

/// Whether 1Password accepts the token.
pub(super) fn credentials(seen: &Observed<'_>, now: Timestamp) -> Verdict {
    if let Some(problem) = token_problem(&seen.token) {
        return problem;
    }
    match &seen.session.failure {
        Some(failure) if failure.kind == FailureKind::Rejected => {
            no(reasons::TOKEN_REJECTED, &failure.message)
        }
        Some(failure) if failure.kind == FailureKind::Forbidden => {
            no(reasons::SIGN_IN_FORBIDDEN, with_next_try(failure))
        }
        _ if seen.session.accepted => accepted(seen, now),
        Some(failure) => unknown(reason_of(failure.kind), with_next_try(failure)),
        None if seen.integration.spec.suspend => unknown(
            reasons::SUSPENDED,
            "The token is not used while the integration is suspended.",
        ),
        None if seen.session.throttled_until.is_some() => unknown(
            reasons::RATE_LIMITED,
            "1Password asked the operator to wait before it signs in.",
        ),
        None => unknown(reasons::SIGNING_IN, "The token has not been used yet."),
    }
}

fn accepted(seen: &Observed<'_>, now: Timestamp) -> Verdict {
    match expires_at(seen.integration) {
        Some(at) if at <= now => yes(
            reasons::TOKEN_PAST_EXPIRY,
            format!(
                "The token should have expired at {at:.0}, but 1Password still accepts it. Put a \
                 new token into the Secret and update expiresAt."
            ),
        ),
        Some(at) if at.duration_since(now) <= EXPIRY_WARNING => yes(
            reasons::TOKEN_EXPIRES_SOON,
            format!(
                "The token expires at {at:.0}. Put a new token into the Secret before then and \
                 update expiresAt."
            ),
        ),
        _ => yes(reasons::TOKEN_ACCEPTED, "1Password accepts the token."),
    }
}

/// The problem with the Secret or with the token in it.
fn token_problem(token: &TokenSeen) -> Option<Verdict> {
    Some(match token {
        TokenSeen::Usable { .. } => return None,
        TokenSeen::NotConfigured => no(
            reasons::SECRET_MISSING,
            "The integration names no Secret for its token: set \
             spec.auth.serviceAccountToken.secretRef.",
        ),
        TokenSeen::Missing { secret } => no(
            reasons::SECRET_MISSING,
            format!(
                "Secret {secret} does not exist in this namespace. Create it with the token, \
                 label it keyloan.dev/secret=token, and set its label keyloan.dev/integration to \
                 the name of this integration."
            ),
        ),
        TokenSeen::NotLabelled { secret } => no(
            reasons::SECRET_NOT_LABELLED,
            format!(
                "Secret {secret} is not labeled as a token Secret, so the operator does not \
                 read it. Label it keyloan.dev/secret=token, and set its label \
                 keyloan.dev/integration to the name of this integration."
            ),
        ),
        TokenSeen::OfAnother {
            secret,
            names: Some(names),
        } => no(
            reasons::SECRET_OF_ANOTHER,
            format!(
                "Secret {secret} belongs to integration {names}, so the operator does not read \
                 it. Give this integration a Secret of its own."
            ),
        ),
        TokenSeen::OfAnother {
            secret,
            names: None,
        } => no(
            reasons::SECRET_OF_ANOTHER,
            format!(
                "Secret {secret} does not name its integration, so the operator does not read \
                 it. Set its label keyloan.dev/integration to the name of this integration."
            ),
        ),
        TokenSeen::Unreadable { secret, error } => no(
            reasons::SECRET_UNREADABLE,
            format!("The operator could not read Secret {secret} and keeps trying: {error}."),
        ),
        TokenSeen::KeyMissing { secret, key, keys } => no(
            reasons::KEY_MISSING,
            format!(
                "Secret {secret} has no key {key} (it has: {}). Put the token under that key, \
                 or name another key in secretRef.key.",
                if keys.is_empty() {
                    "none".to_owned()
                } else {
                    keys.join(", ")
                }
            ),
        ),
        TokenSeen::Malformed(why) => no(reasons::TOKEN_MALFORMED, sentence(why)),
        TokenSeen::ForeignOrigin(why) => no(reasons::FOREIGN_ORIGIN, sentence(why)),
    })
}
