//! Whether an integration or a flow lends nothing until a person acts. The condition `Stalled` says
//! so, and only while it is true: Flux, `kubectl wait` and Argo CD then fail at once, where they
//! would otherwise wait for their timeouts.

use jiff::{SignedDuration, Timestamp};

use crate::api::STALLED;

use super::conditions::Conditions;
use super::reasons::{FlowReason, IntegrationReason};

/// How long an object may follow the one that names it: tools apply both together, but another
/// controller may have to make a Secret first.
const FOLLOWS_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// The event that ends the state that a reason of `Ready=False` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Time, an upgrade that is under way, or the person who suspended the object.
    Waiting,
    /// An object that may follow soon; if it does not, a person.
    Following,
    /// A person.
    Person,
}

/// The event that ends the state of an integration that is not ready for this reason.
pub(super) fn of_integration(reason: IntegrationReason) -> Remedy {
    use IntegrationReason as Reason;
    match reason {
        Reason::SecretMissing | Reason::SecretUnreadable => Remedy::Following,
        Reason::SecretNotLabelled
        | Reason::SecretOfAnotherIntegration
        | Reason::KeyMissing
        | Reason::TokenMalformed
        | Reason::ForeignOrigin
        | Reason::TokenRejected
        // A firewall rule of the account, which people change.
        | Reason::SignInForbidden
        | Reason::NoVault
        | Reason::VaultNotFound
        | Reason::VaultAmbiguous
        | Reason::VaultUnreadable
        | Reason::NamedPeopleNotAllowed
        | Reason::SharingForbidden => Remedy::Person,
        // The fault is not the integration's, and an upgrade of the policies ends it: an
        // integration that stalled meanwhile would fail the tool that is about to apply them.
        Reason::BoundaryNotInForce
        | Reason::Suspended
        | Reason::SigningIn
        | Reason::Discovering
        | Reason::RateLimited
        | Reason::QuotaLow
        | Reason::OnePasswordUnavailable
        | Reason::OnePasswordBroken
        // These are no reasons of `Ready=False`.
        | Reason::Ready
        | Reason::TokenAccepted
        | Reason::TokenExpiresSoon
        | Reason::TokenPastExpiry
        | Reason::TokenUnusable
        | Reason::Discovered
        | Reason::SharingAllowed
        | Reason::NoItem
        | Reason::NotThrottled
        | Reason::BoundaryInForce
        | Reason::ClockSkew => Remedy::Waiting,
    }
}

/// The event that ends the state of a flow that is not ready for this reason, or lends nothing.
pub(super) fn of_flow(reason: FlowReason) -> Remedy {
    use FlowReason as Reason;
    match reason {
        Reason::IntegrationNotFound => Remedy::Following,
        Reason::InvalidTimeframe
        | Reason::InvalidDuration
        | Reason::InvalidSelector
        | Reason::TooFewApprovals
        | Reason::ExcludeNamesNoVault
        | Reason::RuleMatchesNothing => Remedy::Person,
        Reason::Suspended
        | Reason::Valid
        | Reason::NotListedYet
        | Reason::RulesMatch
        | Reason::WildcardInTitle => Remedy::Waiting,
    }
}

/// Adds `Stalled` to the conditions if the one of this type says something that only a person can
/// change. Returns the time at which that becomes true, if nothing happens before.
pub(super) fn say(
    conditions: &mut Conditions<'_>,
    because_of: &str,
    remedy: Remedy,
    now: Timestamp,
) -> Option<Timestamp> {
    let cause = conditions.said(because_of)?.clone();
    let from = match remedy {
        Remedy::Waiting => return None,
        Remedy::Person => now,
        Remedy::Following => {
            let since = cause.last_transition_time.0;
            let until = since.saturating_add(FOLLOWS_WITHIN);
            until.unwrap_or(Timestamp::MAX)
        }
    };
    if from > now {
        return Some(from);
    }
    conditions.say(STALLED, true, cause.reason, cause.message);
    None
}
