//! Calls 1Password, and records the result of each call.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use keyloan::onepassword::{
    Accounts, Answer, CallError, Exchange, ItemId, ItemOverview, ItemState, OnePassword,
    Recipients, ServiceAccountToken, ShareLifetime, ShareTerms, Vault, VaultId,
};
use url::Url;

/// The maximum number of vaults whose items are listed, so that the check costs few requests in a
/// large account, too.
const LISTED_VAULTS: usize = 5;

/// A valid id that 1Password has given to no object.
const NO_ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The permitted calls beyond reading.
#[derive(Debug, Default)]
pub struct Wishes {
    /// An item to fetch: its vault and itself, by titles or ids.
    pub item: Option<(String, String)>,
    /// The people to share it with.
    pub share_with: Option<Recipients>,
    /// A token that was revoked or rotated.
    pub revoked: Option<ServiceAccountToken>,
}

/// The kind of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// List the vaults, on a client that has to sign in first.
    Vaults,
    /// List the items of a vault.
    Items,
    /// Get an item that does not exist.
    UnknownItem,
    /// List the items of a vault that does not exist.
    UnknownVault,
    /// Read the share policy for an item.
    Policy,
    /// Get an item, on a client that has to sign in first.
    Item,
    /// Create a share.
    Share,
    /// List the vaults, with a revoked token.
    Revoked,
}

/// A call and what the host observed of it.
#[derive(Debug)]
pub struct Observation {
    /// The kind of the call.
    pub call: Call,
    /// Every request and its response.
    pub exchanges: Vec<Exchange>,
    /// The error, if the call failed.
    pub error: Option<CallError>,
    /// The time of the response, by this machine's clock.
    pub at: Timestamp,
}

/// All observations.
#[derive(Debug, Default)]
pub struct Seen {
    /// The calls, in order.
    pub calls: Vec<Observation>,
    /// The vaults and their items.
    pub vaults: Vec<(Vault, Option<Vec<ItemOverview>>)>,
    /// Whether shares with named people are allowed, and the longest lifetime.
    pub policy: Option<(bool, ShareLifetime)>,
    /// The link, without its secret.
    pub link: Option<Link>,
}

/// The parts of a link that are safe to print.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    /// `https`.
    pub scheme: String,
    /// The host of the URL.
    pub host: String,
    /// The path of the URL.
    pub path: String,
    /// The number of characters after the `#`.
    pub secret_length: usize,
}

impl Seen {
    /// The observations of one kind of call.
    pub fn of(&self, call: Call) -> impl Iterator<Item = &Observation> {
        self.calls.iter().filter(move |seen| seen.call == call)
    }

    fn note<T>(&mut self, call: Call, answer: Answer<T>) -> Option<T> {
        let (value, error) = match answer.result {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        self.calls.push(Observation {
            call,
            exchanges: answer.exchanges,
            error,
            at: Timestamp::now(),
        });
        value
    }
}

/// Makes the calls. A failed call is recorded, too; an error means that the options cannot be
/// followed.
pub async fn visit(
    accounts: &dyn Accounts,
    token: ServiceAccountToken,
    wishes: Wishes,
) -> Result<Seen> {
    let mut seen = Seen::default();
    let account = accounts.connect(token.clone());
    look(&*account, &mut seen).await;
    if let Some((vault, item)) = &wishes.item {
        // On a client of its own, to count the requests of a first loan.
        let fresh = accounts.connect(token);
        let (vault, item) = find(&*account, &mut seen, vault, item).await?;
        lend(fresh, &mut seen, &vault, &item, wishes.share_with).await;
    }
    if let Some(revoked) = wishes.revoked {
        let answer = accounts.connect(revoked).vaults().await;
        seen.note(Call::Revoked, answer);
    }
    Ok(seen)
}

/// The calls that change nothing and fetch no field of an item.
async fn look(account: &dyn OnePassword, seen: &mut Seen) {
    let Some(vaults) = seen.note(Call::Vaults, account.vaults().await) else {
        return;
    };
    for (n, vault) in vaults.into_iter().enumerate() {
        let items = if n < LISTED_VAULTS {
            seen.note(Call::Items, account.items(&vault.id).await)
        } else {
            None
        };
        seen.vaults.push((vault, items));
    }
    let nothing = VaultId(NO_ID.to_owned());
    seen.note(Call::UnknownVault, account.items(&nothing).await);
    if let Some(vault) = seen.vaults.first().map(|(vault, _)| vault.id.clone()) {
        let nothing = ItemId(NO_ID.to_owned());
        seen.note(Call::UnknownItem, account.item(&vault, &nothing).await);
    }
    let item = seen.vaults.iter().find_map(|(vault, items)| {
        let item = items
            .iter()
            .flatten()
            .find(|item| item.state == ItemState::Active)?;
        Some((vault.id.clone(), item.id.clone()))
    });
    if let Some((vault, item)) = item {
        let policy = seen.note(Call::Policy, account.share_policy(&vault, &item).await);
        seen.policy = policy.map(|policy| (policy.allows_named_people(), policy.max_lifetime));
    }
}

/// The ids of the vault and the item.
async fn find(
    account: &dyn OnePassword,
    seen: &mut Seen,
    vault: &str,
    item: &str,
) -> Result<(VaultId, ItemId)> {
    let vaults = seen
        .vaults
        .iter()
        .map(|(vault, _)| (&vault.id.0, &vault.title));
    let vault = VaultId(only_one("vault", vault, vaults)?);
    let listed = seen.vaults.iter().find(|(known, _)| known.id == vault);
    let items = match listed.and_then(|(_, items)| items.clone()) {
        Some(items) => items,
        None => {
            let answer = account.items(&vault).await;
            seen.note(Call::Items, answer)
                .context("the items of that vault cannot be listed")?
        }
    };
    let items = items.iter().map(|item| (&item.id.0, &item.title));
    Ok((vault, ItemId(only_one("item", item, items)?)))
}

fn only_one<'a>(
    what: &str,
    wanted: &str,
    candidates: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<String> {
    let found: Vec<&String> = candidates
        .filter(|(id, title)| *id == wanted || *title == wanted)
        .map(|(id, _)| id)
        .collect();
    match found[..] {
        [id] => Ok(id.clone()),
        [] => bail!("the service account sees no {what} `{wanted}`; give its title or its id"),
        _ => bail!("several have the title `{wanted}`; give the {what}'s id instead: {found:?}"),
    }
}

/// The calls of a loan. Creates a link only if there are recipients.
async fn lend(
    account: Arc<dyn OnePassword>,
    seen: &mut Seen,
    vault: &VaultId,
    item: &ItemId,
    recipients: Option<Recipients>,
) {
    let Some(whole) = seen.note(Call::Item, account.item(vault, item).await) else {
        return;
    };
    let Some(policy) = seen.note(Call::Policy, account.share_policy(vault, item).await) else {
        return;
    };
    let Some(recipients) = recipients else { return };
    let terms = ShareTerms {
        recipients,
        lifetime: ShareLifetime::OneHour,
        view_once: false,
    };
    let url = seen.note(Call::Share, account.share(&whole, &policy, &terms).await);
    seen.link = url.and_then(|url| Link::of(url.expose()));
}

impl Link {
    fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_owned(),
            path: url.path().to_owned(),
            secret_length: url.fragment().map_or(0, str::len),
        })
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheme,
            host,
            path,
            secret_length,
        } = self;
        write!(f, "{scheme}://{host}{path}#<{secret_length} characters>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_told_without_its_secret() {
        let link = Link::of("https://share.example.com/s#planted-secret").unwrap();
        assert_eq!(
            link.to_string(),
            "https://share.example.com/s#<14 characters>"
        );
        assert!(!format!("{link:?}").contains("planted"));
    }

    #[test]
    fn an_item_is_meant_by_its_title_or_its_id_if_that_is_clear() {
        let items = [("id1", "db"), ("id2", "api"), ("id3", "api")]
            .map(|(id, title)| (id.to_owned(), title.to_owned()));
        let find = |wanted| only_one("item", wanted, items.iter().map(|(id, title)| (id, title)));
        assert_eq!(find("db").unwrap(), "id1");
        assert_eq!(find("id3").unwrap(), "id3");
        assert!(find("api").unwrap_err().to_string().contains("id2"));
        assert!(find("web").is_err());
    }
}
