//! The state of the token: problems with its Secret, 1Password's answer to it, and its expiry.

use jiff::Timestamp;

use crate::plan::reasons::IntegrationReason;

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
            no(IntegrationReason::TokenRejected, sentence(&failure.message))
        }
        Some(failure) if failure.kind == FailureKind::Forbidden => {
            no(IntegrationReason::SignInForbidden, with_next_try(failure))
        }
        _ if seen.session.accepted => accepted(seen, now),
        Some(failure) => unknown(reason_of(failure.kind), with_next_try(failure)),
        None if seen.integration.spec.suspend => unknown(
            IntegrationReason::Suspended,
            "The token is not used while the integration is suspended.",
        ),
        None if seen.session.throttled_until.is_some() => unknown(
            IntegrationReason::RateLimited,
            "1Password asked the operator to wait before it signs in.",
        ),
        None => unknown(
            IntegrationReason::SigningIn,
            "The token has not been used yet.",
        ),
    }
}

fn accepted(seen: &Observed<'_>, now: Timestamp) -> Verdict {
    match expires_at(seen.integration) {
        Some(at) if at <= now => yes(
            IntegrationReason::TokenPastExpiry,
            format!(
                "The token should have expired at {at:.0}, but 1Password still accepts it. Put a \
                 new token into the Secret and update expiresAt."
            ),
        ),
        Some(at) if at.duration_since(now) <= EXPIRY_WARNING => yes(
            IntegrationReason::TokenExpiresSoon,
            format!(
                "The token expires at {at:.0}. Put a new token into the Secret before then and \
                 update expiresAt."
            ),
        ),
        _ => yes(
            IntegrationReason::TokenAccepted,
            "1Password accepts the token.",
        ),
    }
}

/// The problem with the Secret or with the token in it.
fn token_problem(token: &TokenSeen) -> Option<Verdict> {
    Some(match token {
        TokenSeen::Usable { .. } => return None,
        TokenSeen::NotConfigured => no(
            IntegrationReason::SecretMissing,
            "The integration names no Secret for its token: set \
             spec.auth.serviceAccountToken.secretRef.",
        ),
        TokenSeen::Missing { secret } => no(
            IntegrationReason::SecretMissing,
            format!(
                "Secret {secret} does not exist in this namespace. Create it with the token, \
                 label it keyloan.dev/secret=token, and set its label keyloan.dev/integration to \
                 the name of this integration."
            ),
        ),
        TokenSeen::NotLabelled { secret } => no(
            IntegrationReason::SecretNotLabelled,
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
            IntegrationReason::SecretOfAnotherIntegration,
            format!(
                "Secret {secret} belongs to integration {names}, so the operator does not read \
                 it. Give this integration a Secret of its own."
            ),
        ),
        TokenSeen::OfAnother {
            secret,
            names: None,
        } => no(
            IntegrationReason::SecretOfAnotherIntegration,
            format!(
                "Secret {secret} does not name its integration, so the operator does not read \
                 it. Set its label keyloan.dev/integration to the name of this integration."
            ),
        ),
        TokenSeen::Unreadable { secret, error } => no(
            IntegrationReason::SecretUnreadable,
            format!("The operator could not read Secret {secret} and keeps trying: {error}."),
        ),
        TokenSeen::KeyMissing { secret, key, keys } => no(
            IntegrationReason::KeyMissing,
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
        TokenSeen::Malformed(why) => no(IntegrationReason::TokenMalformed, sentence(why)),
        TokenSeen::ForeignOrigin(why) => no(IntegrationReason::ForeignOrigin, sentence(why)),
    })
}
