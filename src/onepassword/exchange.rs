//! The host's view of one HTTP exchange with 1Password: enough to count, to classify and to wait,
//! and no secret.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::network::Unreached;

/// One HTTP request of the core, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// `GET`, `POST` or `PUT`; any other method of the core is `OTHER`.
    pub method: &'static str,
    /// The service's call, without ids.
    pub route: Route,
    /// The outcome.
    pub outcome: Outcome,
    /// The network's explanation if nothing came back, for people.
    pub cause: Option<Arc<str>>,
}

impl Exchange {
    /// The status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self.outcome {
            Outcome::Answered { status, .. } => Some(status),
            Outcome::Silent(_) => None,
        }
    }

    /// Whether the request may have reached 1Password, and so counts against its limits.
    pub fn was_sent(&self) -> bool {
        !matches!(
            self.outcome,
            Outcome::Silent(NoAnswer::Connect(_) | NoAnswer::Foreign | NoAnswer::TooLate)
        )
    }
}

/// The outcome of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer arrived in full.
    Answered {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`. A date in it is taken relative to the answer's own `Date`. It is bounded
        /// to between some seconds and a day.
        retry_after: Option<Duration>,
        /// The answer's `Date`: the service's clock, to the second.
        date: Option<Timestamp>,
    },
    /// There was no usable answer.
    Silent(NoAnswer),
}

/// The reason why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// No connection could be made: nothing was sent.
    Connect(Unreached),
    /// The connection broke off, or the answer was not HTTP.
    Interrupted,
    /// No full answer in time, or the call's own time was over.
    Timeout,
    /// A 2xx answer was larger than the cap; reading stopped there. (The bodies of other answers
    /// are not read at all.)
    TooLarge,
    /// The core requested another origin than its token's: never sent.
    Foreign,
    /// The call's own time was over by the wall clock, for example after the machine slept: never
    /// sent.
    TooLate,
}

/// A call of the service, by its route: no ids, so that it may be counted and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// Sign-in, first step.
    AuthStart,
    /// Sign-in, the key exchange.
    Auth,
    /// Sign-in, both sides prove the key.
    AuthConfirmKey,
    /// Sign-in, last step.
    AuthComplete,
    /// A device registered or authorized again during a sign-in.
    Device,
    /// The account's keysets.
    Keysets,
    /// The list of vaults.
    Vaults,
    /// One vault.
    Vault,
    /// The overviews of a vault's items.
    Overviews,
    /// One item, whole.
    Item,
    /// The share policy for an item.
    SharePolicy,
    /// The check of a share's recipients.
    ShareRecipients,
    /// The creation of a share.
    Share,
    /// None of the above: the core makes a request that is new.
    Unknown,
}

impl Route {
    /// The route of a request, by method and path (without the query).
    pub fn of(method: &str, path: &str) -> Self {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method, segments.as_slice()) {
            ("POST", ["api", _, "auth", "start"]) => Self::AuthStart,
            ("POST", ["api", _, "auth"]) => Self::Auth,
            ("POST", ["api", _, "auth", "confirm-key"]) => Self::AuthConfirmKey,
            ("POST", ["api", _, "auth", "complete"]) => Self::AuthComplete,
            (_, ["api", _, "device", ..]) => Self::Device,
            ("GET", ["api", _, "account", "keysets"]) => Self::Keysets,
            ("GET", ["api", _, "vaults"]) => Self::Vaults,
            ("GET", ["api", _, "vault", _]) => Self::Vault,
            ("GET", ["api", _, "vault", _, "items", "overviews"]) => Self::Overviews,
            ("GET", ["api", _, "vault", _, "item", _]) => Self::Item,
            ("GET", ["api", _, "itemshare", "preflight", _, _]) => Self::SharePolicy,
            ("POST", ["api", _, "itemshare", "validate-recipients"]) => Self::ShareRecipients,
            ("POST", ["api", _, "itemshare"]) => Self::Share,
            _ => Self::Unknown,
        }
    }

    /// The route with `{vault}` and `{item}` for the ids, for metrics and logs.
    pub fn template(self) -> &'static str {
        match self {
            Self::AuthStart => "/api/v3/auth/start",
            Self::Auth => "/api/v2/auth",
            Self::AuthConfirmKey => "/api/v2/auth/confirm-key",
            Self::AuthComplete => "/api/v2/auth/complete",
            Self::Device => "/api/v1/device",
            Self::Keysets => "/api/v2/account/keysets",
            Self::Vaults => "/api/v1/vaults",
            Self::Vault => "/api/v3/vault/{vault}",
            Self::Overviews => "/api/v1/vault/{vault}/items/overviews",
            Self::Item => "/api/v1/vault/{vault}/item/{item}",
            Self::SharePolicy => "/api/v4/itemshare/preflight/{vault}/{item}",
            Self::ShareRecipients => "/api/v4/itemshare/validate-recipients",
            Self::Share => "/api/v4/itemshare",
            Self::Unknown => "other",
        }
    }

    /// Whether the request creates something at 1Password. Checking recipients does not, nor does
    /// signing in; an unknown request may.
    pub fn is_write(self) -> bool {
        matches!(self, Self::Share | Self::Unknown)
    }

    /// Whether the request belongs to signing in: its answer concerns the token, not an item.
    pub fn is_sign_in(self) -> bool {
        matches!(
            self,
            Self::AuthStart | Self::Auth | Self::AuthConfirmKey | Self::AuthComplete | Self::Device
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_recognised_as_its_own_route() {
        for (method, route) in [
            ("POST", Route::AuthStart),
            ("POST", Route::Auth),
            ("POST", Route::AuthConfirmKey),
            ("POST", Route::AuthComplete),
            ("POST", Route::Device),
            ("GET", Route::Keysets),
            ("GET", Route::Vaults),
            ("GET", Route::Vault),
            ("GET", Route::Overviews),
            ("GET", Route::Item),
            ("GET", Route::SharePolicy),
            ("POST", Route::ShareRecipients),
            ("POST", Route::Share),
        ] {
            assert_eq!(
                Route::of(method, route.template()),
                route,
                "{method} {}",
                route.template()
            );
        }
        assert_eq!(Route::of("DELETE", "/api/v4/itemshare"), Route::Unknown);
        assert_eq!(Route::of("GET", "/"), Route::Unknown);
    }
}
