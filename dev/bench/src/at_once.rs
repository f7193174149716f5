//! The operator with a 1Password that answers at once. Its cost is then Keyloan's own, without the
//! core, its host and the service.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use jiff::Timestamp;
use keyloan::cluster::{KubeAccess, install_tls};
use keyloan::onepassword::{
    Accounts, AllowedOrigins, Answer, Item, ItemId, ItemOverview, ItemState, OnePassword, Origin,
    ServiceAccountToken, SharePolicy, ShareTerms, ShareUrl, Vault, VaultId,
};
use keyloan::operator::{Election, Settings, start_with};
use keyloan::telemetry::{LogFormat, LogSettings, start_logging};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::service::{ITEMS, VAULT, item_title};

/// The options of the operator; all others are as in `keyloan run`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[arg(long)]
    kubeconfig: PathBuf,
    /// The origin that the tokens name, although nothing is sent there.
    #[arg(long)]
    allow_origin: Origin,
    /// The lease's namespace and name.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    lease: String,
    /// This replica's name in the lease.
    #[arg(long)]
    identity: String,
}

/// Runs until it is stopped.
pub async fn run(arguments: Arguments) -> Result<()> {
    start_logging(&LogSettings {
        format: LogFormat::Text,
        level: "info".to_owned(),
    })?;
    install_tls();
    let (namespace, lease) = arguments
        .lease
        .split_once('/')
        .context("--lease takes NAMESPACE/NAME")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let settings = Settings {
        kube: KubeAccess::Kubeconfig(arguments.kubeconfig),
        election: Some(Election {
            namespace: namespace.to_owned(),
            lease: lease.to_owned(),
            identity: arguments.identity,
        }),
        allowed_origins: AllowedOrigins::with([arguments.allow_origin]),
        // It has no core, and needs none.
        ..Settings::new("")
    };
    let mut operator = start_with(settings, Arc::new(AtOnce)).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        failure = operator.failed() => return Err(failure.into()),
    }
    Ok(operator.stop().await?)
}

/// One account for all tokens, with the same vault and items as the simulated service.
struct AtOnce;

impl Accounts for AtOnce {
    fn connect(&self, _: ServiceAccountToken) -> Arc<dyn OnePassword> {
        Arc::new(Self)
    }
}

#[async_trait]
impl OnePassword for AtOnce {
    async fn vaults(&self) -> Answer<Vec<Vault>> {
        answer(vec![Vault {
            id: VaultId(id('v')),
            title: VAULT.to_owned(),
            items: None,
        }])
    }

    async fn items(&self, _: &VaultId) -> Answer<Vec<ItemOverview>> {
        let item = |number| ItemOverview {
            id: ItemId(item_id(number)),
            title: item_title(number),
            category: "Login".to_owned(),
            tags: vec!["bench".to_owned()],
            updated_at: Timestamp::UNIX_EPOCH,
            state: ItemState::Active,
        };
        answer((0..ITEMS).map(item).collect())
    }

    async fn item(&self, vault: &VaultId, item: &ItemId) -> Answer<Item> {
        let number = (0..ITEMS).find(|number| item_id(*number) == item.0);
        let facts = json!({
            "id": item, "vaultId": vault, "title": item_title(number.unwrap_or_default()), "tags": ["bench"], "version": 1,
            "updatedAt": "1970-01-01T00:00:00Z", "fields": [{ "label": "password", "value": "a password" }],
        });
        answer(Item::from_json(facts.to_string().into()).expect("all that an item has"))
    }

    async fn share_policy(&self, _: &VaultId, _: &ItemId) -> Answer<SharePolicy> {
        let facts = json!({ "maxExpiry": "ThirtyDays", "allowedTypes": ["Authenticated"], "allowedRecipientTypes": ["Email"] });
        answer(SharePolicy::from_json(facts.to_string()).expect("all that a policy has"))
    }

    async fn share(&self, item: &Item, _: &SharePolicy, _: &ShareTerms) -> Answer<ShareUrl> {
        answer(ShareUrl::new(format!(
            "https://share.1password.example/s#{}",
            item.id
        )))
    }
}

/// Nothing is sent, so nothing counts against a quota.
fn answer<T>(result: T) -> Answer<T> {
    Answer {
        result: Ok(result),
        exchanges: Vec::new(),
    }
}

/// An id in 1Password's form.
fn id(letter: char) -> String {
    letter.to_string().repeat(26)
}

fn item_id(number: usize) -> String {
    let letter = u8::try_from(number).map(|number| b'a' + number);
    id(letter.map_or('z', char::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_it_lists_is_what_it_lends() {
        let items = AtOnce.items(&VaultId(id('v'))).await.result.unwrap();
        assert_eq!(items.len(), ITEMS);
        for listed in items {
            let item = AtOnce.item(&VaultId(id('v')), &listed.id).await.result;
            let item = item.unwrap();
            assert_eq!((&item.title, &item.tags), (&listed.title, &listed.tags));
        }
    }

    #[tokio::test]
    async fn its_policy_allows_what_the_benchmark_asks_for() {
        let vault = VaultId(id('v'));
        let policy = AtOnce.share_policy(&vault, &ItemId(item_id(0))).await;
        assert!(policy.result.unwrap().allows_named_people());
    }
}
