//! What was seen of one integration, all that its plan is made from.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::api::{INTEGRATION_LABEL, OnePasswordIntegration, SECRET_LABEL, TitleOrId};
use crate::plan::inventory::Inventory;

/// What was seen of one integration.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The object, with the status that was written last.
    pub integration: &'a OnePasswordIntegration,
    /// What the token Secret is good for.
    pub token: TokenSeen,
    /// What came of using the token so far.
    pub session: SessionSeen,
    /// The last complete discovery with this token; `None` after a start and after the token has changed.
    pub discovery: Option<&'a Discovery>,
    /// The vaults and items that are known; those of an earlier token of the same account count.
    pub inventory: Option<&'a Inventory>,
    /// Whether a discovery is under way.
    pub discovering: bool,
    /// The request limits are nearly used up, by our own estimate; there is room for a discovery from then on.
    pub room_from: Option<Timestamp>,
    /// Why the API server does not guard who asks and who decides; `None` where it does.
    pub unguarded: Option<String>,
}

/// What the token Secret is good for. Each but the last means: nothing is sent to 1Password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSeen {
    /// The spec names no Secret.
    NotConfigured,
    /// There is no such Secret.
    Missing {
        /// Its name.
        secret: String,
    },
    /// The Secret lacks the label that makes it a token Secret.
    NotLabelled {
        /// Its name.
        secret: String,
    },
    /// The Secret is not labelled for this integration.
    OfAnother {
        /// Its name.
        secret: String,
        /// The integration that the label names, if it names one.
        names: Option<String>,
    },
    /// The API server did not let the operator read it.
    Unreadable {
        /// Its name.
        secret: String,
        /// Why.
        error: String,
    },
    /// The Secret has no such key.
    KeyMissing {
        /// Its name.
        secret: String,
        /// The key that the spec names.
        key: String,
        /// The keys that it has.
        keys: Vec<String>,
    },
    /// What it holds is no token; the text says why, without any of it.
    Malformed(String),
    /// The token leads elsewhere than to 1Password; the text says where.
    ForeignOrigin(String),
    /// A token of the right shape.
    Usable {
        /// The service account's address.
        account: String,
        /// The host it signs in at.
        host: String,
    },
}

/// What came of using one token so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSeen {
    /// 1Password has taken the token.
    pub accepted: bool,
    /// What failed last, as long as nothing has succeeded since.
    pub failure: Option<Failure>,
    /// 1Password asks us to wait until then.
    pub throttled_until: Option<Timestamp>,
    /// How far 1Password's clock is ahead of ours.
    pub clock_skew: Option<SignedDuration>,
}

/// A failure that concerns the integration as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened and what to do, for people.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// How many there were in a row, this one included.
    pub count: u32,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// 401: the token is not accepted, and will not be.
    Rejected,
    /// 403 while signing in: perhaps a firewall rule of the account.
    Forbidden,
    /// No usable answer: it may be there again soon.
    Unavailable,
    /// Something that should not happen.
    Broken,
    /// 429: the breaker says until when.
    RateLimited,
}

/// A complete discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// When it began.
    pub at: Timestamp,
    /// The allow-list that it went by.
    pub allowed: Vec<TitleOrId>,
    /// What was not as it should be.
    pub findings: Findings,
}

/// What a discovery found that is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Entries of the allow-list that name no vault.
    pub missing: Vec<String>,
    /// Titles of the allow-list that name several vaults, with the ids.
    pub ambiguous: Vec<(String, Vec<String>)>,
    /// Titles of vaults that 1Password did not let us list.
    pub unreadable: Vec<String>,
    /// 1Password did not let us read the share policy of any item.
    pub sharing_forbidden: bool,
}

/// What a Secret's labels say about whose token it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenClaim<'a> {
    /// This integration's.
    Ours,
    /// It is not labelled as a token Secret.
    NotLabelled,
    /// Another integration's, or nobody's.
    OfAnother(Option<&'a str>),
}

/// Whose token a Secret holds, by its labels. Only with [`TokenClaim::Ours`] the Secret may be read: otherwise whoever
/// can create an integration could have the operator use any Secret of the namespace.
pub fn token_claim<'a>(labels: &'a BTreeMap<String, String>, integration: &str) -> TokenClaim<'a> {
    if labels.get(SECRET_LABEL).map(String::as_str) != Some("token") {
        return TokenClaim::NotLabelled;
    }
    match labels.get(INTEGRATION_LABEL).map(String::as_str) {
        Some(name) if name == integration => TokenClaim::Ours,
        other => TokenClaim::OfAnother(other),
    }
}
