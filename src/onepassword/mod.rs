//! The port to 1Password: what the operator may ask of one service account, and what it learns from each call.
//!
//! [`OnePassword`] is one integration's account, [`Accounts`] makes it from a token. The one adapter, [`core`], runs
//! 1Password's own SDK core in a sandbox and performs its HTTP itself; nothing outside of this folder knows HTTP.
//!
//! ```
//! # use keyloan::onepassword::*;
//! # async fn lend(account: &dyn OnePassword, vault: VaultId, item: ItemId) -> Result<(), Box<dyn std::error::Error>> {
//! let policy = account.share_policy(&vault, &item).await.result?;
//! let item = account.item(&vault, &item).await.result?;
//! let terms = ShareTerms {
//!     recipients: Recipients::new(["alice@example.com"])?,
//!     lifetime: ShareLifetime::OneHour.min(policy.max_lifetime),
//!     view_once: false,
//! };
//! match account.share(&item, &policy, &terms).await.result {
//!     Ok(url) => drop(url), // for the link Secret, and nothing else
//!     Err(refused) if refused.effect() == Effect::None => eprintln!("no link exists: {refused}"),
//!     Err(lost) => eprintln!("a link may exist that nobody can open from here: {lost}"),
//! }
//! # Ok(()) }
//! ```

mod calls;
pub mod core;
mod errors;
mod exchange;
#[cfg(fuzzing)]
pub mod fuzzing;
mod items;
mod obstacle;
mod shares;
mod token;
mod unreached;

use std::sync::Arc;

use async_trait::async_trait;

pub use errors::{CallError, Effect, Fault, Problem, Refusal, Stage};
pub use exchange::{Exchange, NoAnswer, Outcome, Route};
pub use items::{
    Item, ItemContent, ItemId, ItemOverview, ItemState, UnreadableItem, Vault, VaultId,
};
pub use obstacle::Obstacle;
pub use shares::{RecipientError, Recipients, ShareLifetime, SharePolicy, ShareTerms, ShareUrl};
pub use token::{AllowedOrigins, Origin, OriginError, ServiceAccountToken, TokenError};

/// One service account of 1Password, as one integration uses it.
///
/// It signs in when first used, and again when its session or its sandbox was lost. Calls on one
/// account run one after the other, in the order in which they were made; accounts never wait for
/// each other. Each call, including its waiting and its sign-in, is bounded in time
/// ([`Problem::Timeout`]).
#[async_trait]
pub trait OnePassword: Send + Sync {
    /// The vaults that the account can read. One request.
    async fn vaults(&self) -> Answer<Vec<Vault>>;

    /// The items of a vault, archived ones included, without any field's value. One request.
    async fn items(&self, vault: &VaultId) -> Answer<Vec<ItemOverview>>;

    /// The whole item, secrets included: only to share it. One request (three on a client that has just signed in).
    async fn item(&self, vault: &VaultId, item: &ItemId) -> Answer<Item>;

    /// The rules of the account's administrators for shares of this item. One request.
    async fn share_policy(&self, vault: &VaultId, item: &ItemId) -> Answer<SharePolicy>;

    /// Checks the recipients against the account's policy, then creates a share that only they can
    /// open.
    ///
    /// Two requests; one if the same `policy` has been used for the same recipients before. The
    /// policy remembers them, so a renewal by a caller that kept it costs two requests in all (the
    /// item and the share). On an error, [`CallError::effect`] tells whether a share may exist
    /// nevertheless. Nothing is sent after the call's time is over, so such a share ends within one
    /// lifetime after that.
    async fn share(
        &self,
        item: &Item,
        policy: &SharePolicy,
        terms: &ShareTerms,
    ) -> Answer<ShareUrl>;
}

/// Creates accounts from tokens; has the parts that all integrations share (the compiled core, the
/// settings).
pub trait Accounts: Send + Sync {
    /// Creates an account of its own for each call, isolated from all others. Sends nothing: the
    /// account signs in when first used.
    fn connect(&self, token: ServiceAccountToken) -> Arc<dyn OnePassword>;
}

/// The result of a call, and every HTTP exchange on the way: the requests that count against the
/// account's quota, and what 1Password said about waiting and about the time.
#[derive(Debug)]
#[must_use = "the exchanges count against the account's quota, also when the call failed"]
pub struct Answer<T> {
    /// The call's result.
    pub result: Result<T, CallError>,
    /// The exchanges in the order of their start, including those of a sign-in.
    pub exchanges: Vec<Exchange>,
}

impl<T> Answer<T> {
    /// The same exchanges with another result.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            result: self.result.map(change),
            exchanges: self.exchanges,
        }
    }
}
