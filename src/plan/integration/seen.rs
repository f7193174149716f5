//! The observed state of one integration, from which its plan is made.

use jiff::{SignedDuration, Timestamp};

use crate::api::{OnePasswordIntegration, TitleOrId};
use crate::plan::inventory::Inventory;

/// The observed state of one integration.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The object, with the last written status.
    pub integration: &'a OnePasswordIntegration,
    /// The state of the token Secret.
    pub token: TokenSeen,
    /// The results of using the token so far.
    pub session: SessionSeen,
    /// The last complete discovery with this token; `None` after a start and after a change of the
    /// token.
    pub discovery: Option<&'a Discovery>,
    /// The known vaults and items, including those found with an earlier token of the same account.
    pub inventory: Option<&'a Inventory>,
    /// Whether a discovery is under way.
    pub discovering: bool,
    /// The request limits are nearly used up, by the operator's own estimate; a discovery fits from
    /// this time on.
    pub room_from: Option<Timestamp>,
    /// The reason why the API server does not verify requesters and approvers; `None` if it does.
    pub unguarded: Option<String>,
}

/// The state of the token Secret. With every value but the last, nothing is sent to 1Password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSeen {
    /// The spec names no Secret.
    NotConfigured,
    /// The Secret does not exist.
    Missing {
        /// The Secret's name.
        secret: String,
    },
    /// The Secret lacks the label that makes it a token Secret.
    NotLabelled {
        /// The Secret's name.
        secret: String,
    },
    /// The Secret is not labelled for this integration.
    OfAnother {
        /// The Secret's name.
        secret: String,
        /// The integration that the label names, if it names one.
        names: Option<String>,
    },
    /// The API server did not let the operator read the Secret.
    Unreadable {
        /// The Secret's name.
        secret: String,
        /// The reason.
        error: String,
    },
    /// The Secret has no such key.
    KeyMissing {
        /// The Secret's name.
        secret: String,
        /// The key that the spec names.
        key: String,
        /// The keys that the Secret has.
        keys: Vec<String>,
    },
    /// The content is not a token; the text says why, without quoting it.
    Malformed(String),
    /// The token signs in at a foreign origin; the text names it.
    ForeignOrigin(String),
    /// A token of the right shape.
    Usable {
        /// The service account's address.
        account: String,
        /// The host at which it signs in.
        host: String,
    },
}

/// The results of using one token so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSeen {
    /// 1Password has accepted the token.
    pub accepted: bool,
    /// The last failure, until something succeeds.
    pub failure: Option<Failure>,
    /// 1Password has asked the operator to wait until this time.
    pub throttled_until: Option<Timestamp>,
    /// How far 1Password's clock is ahead of the operator's.
    pub clock_skew: Option<SignedDuration>,
}

/// A failure that concerns the integration as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened and what to do, for people.
    pub message: String,
    /// The time of the failure.
    pub at: Timestamp,
    /// The number of consecutive failures, this one included.
    pub count: u32,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// 401: 1Password does not accept the token and will not accept it later.
    Rejected,
    /// 403 while signing in, for example because of a firewall rule of the account.
    Forbidden,
    /// No usable answer; 1Password may be available again soon.
    Unavailable,
    /// A failure that should not happen.
    Broken,
    /// 429: the circuit breaker knows the time of the retry.
    RateLimited,
}

/// A complete discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The time at which it began.
    pub at: Timestamp,
    /// The allow-list that it used.
    pub allowed: Vec<TitleOrId>,
    /// The problems that it found.
    pub findings: Findings,
}

/// The problems that a discovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Entries of the allow-list that name no vault.
    pub missing: Vec<String>,
    /// Titles of the allow-list that name several vaults, with the ids.
    pub ambiguous: Vec<(String, Vec<String>)>,
    /// Titles of vaults that 1Password did not let the operator list.
    pub unreadable: Vec<String>,
    /// 1Password did not let the operator read the share policy of any item.
    pub sharing_forbidden: bool,
}
