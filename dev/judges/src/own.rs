//! Keyloan's own judge: the port to 1Password, which hosts the pinned core.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use keyloan::onepassword::core::artifact::{self, CORE_SHA256, WASMTIME};
use keyloan::onepassword::core::{CoreAccounts, CoreOptions};
use keyloan::onepassword::{
    Accounts as _, AllowedOrigins, CallError, ItemId, ItemState, OnePassword, Origin, Problem,
    Recipients, Refusal, ServiceAccountToken, ShareLifetime, ShareTerms, VaultId,
};
use keyloan_cluster::CORE_VERSION;
use serde_json::{Value, json};

use crate::steps::{About, Answer, RECIPIENT, STRANGER, Scene, Step};

/// The port, for one service account.
pub struct Own {
    account: Arc<dyn OnePassword>,
}

impl Own {
    /// Compiles the core if necessary. Sends nothing.
    pub async fn start(scene: &Scene, origin: &str) -> Result<Self> {
        // An error means that a provider is already installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let core = artifact::load(&keyloan_core::compiled_core().await?)?;
        let (options, clock) = (CoreOptions::default(), Arc::new(Timestamp::now));
        let accounts = CoreAccounts::new(&core, options, clock)?;
        let allowed = AllowedOrigins::with([Origin::parse(origin)?]);
        let token = ServiceAccountToken::parse(scene.token.as_bytes(), &allowed)?;
        Ok(Self {
            account: accounts.connect(token),
        })
    }

    /// The port and its core.
    pub fn about() -> About {
        About {
            client: format!("Keyloan {}", env!("CARGO_PKG_VERSION")),
            core: format!("onepassword-sdk-go {CORE_VERSION} (WebAssembly)"),
            license: "MIT".to_owned(),
            sha256: CORE_SHA256.to_owned(),
            runtime: format!("wasmtime {WASMTIME}"),
        }
    }

    /// Takes a step. A share is answered by its link, which nobody may print.
    pub async fn take(&self, step: Step, scene: &Scene) -> Result<Answer> {
        let (vault, item) = (VaultId(scene.vault.clone()), ItemId(scene.item.clone()));
        let archived = ItemId(scene.archived.clone());
        let answer = match step {
            Step::Resolve => return Ok(Answer::Absent),
            // The port signs in before its first call.
            Step::SignIn => self.vaults().await.map(|_| Value::Null),
            Step::Vaults => self.vaults().await,
            Step::Items => self.items(&vault).await,
            Step::Item => self.item(&vault, &item).await,
            Step::Policy => self.policy(&vault, &item).await,
            Step::Share => self.share(&vault, &item, RECIPIENT).await?,
            Step::ShareArchived => self.share(&vault, &archived, RECIPIENT).await?,
            Step::ShareStranger => self.share(&vault, &item, STRANGER).await?,
        };
        Ok(match answer {
            Ok(said) => Answer::Said(said),
            Err(error) => Answer::Refused(words(step, &error)),
        })
    }

    async fn vaults(&self) -> Result<Value, CallError> {
        let vaults = self.account.vaults().await.result?;
        let vaults = vaults.iter().map(
            |vault| json!({ "id": vault.id, "title": vault.title, "activeItemCount": vault.items }),
        );
        Ok(vaults.collect())
    }

    async fn items(&self, vault: &VaultId) -> Result<Value, CallError> {
        let items = self.account.items(vault).await.result?;
        let items = items.iter().map(|item| {
            let state = match item.state {
                ItemState::Active => "active",
                ItemState::Archived => "archived",
            };
            json!({
                "id": item.id, "title": item.title, "category": item.category, "tags": item.tags,
                "updatedAt": item.updated_at, "state": state,
            })
        });
        Ok(items.collect())
    }

    async fn item(&self, vault: &VaultId, item: &ItemId) -> Result<Value, CallError> {
        let item = self.account.item(vault, item).await.result?;
        Ok(json!({
            "id": item.id, "vaultId": item.vault, "title": item.title, "tags": item.tags,
            "version": item.version, "updatedAt": item.updated_at,
        }))
    }

    async fn policy(&self, vault: &VaultId, item: &ItemId) -> Result<Value, CallError> {
        let policy = self.account.share_policy(vault, item).await.result?;
        let allowed = |list: [(bool, &'static str); 2]| {
            let allowed = list.into_iter().filter_map(|(is, word)| is.then_some(word));
            allowed.collect::<Vec<_>>()
        };
        Ok(json!({
            "maxExpiry": policy.max_lifetime,
            "maxViews": policy.max_views,
            "allowedTypes": allowed([(policy.named_recipients, "Authenticated"), (policy.public, "Public")]),
            "allowedRecipientTypes": allowed([(policy.email_recipients, "Email"), (policy.domain_recipients, "Domain")]),
        }))
    }

    async fn share(
        &self,
        vault: &VaultId,
        item: &ItemId,
        recipient: &str,
    ) -> Result<Result<Value, CallError>> {
        let terms = ShareTerms {
            recipients: Recipients::new([recipient]).context("a recipient")?,
            lifetime: ShareLifetime::OneHour,
            view_once: false,
        };
        let share = async {
            let item = self.account.item(vault, item).await.result?;
            let policy = self.account.share_policy(vault, &item.id).await.result?;
            let url = self.account.share(&item, &policy, &terms).await.result?;
            Ok(json!(url.expose()))
        };
        Ok(share.await)
    }
}

/// The core's own words go no further than the port, so those that it knows are said here again.
fn words(step: Step, error: &CallError) -> String {
    let expected = match error.problem() {
        Problem::NotActive => Step::ShareArchived,
        Problem::Refused(Refusal::Recipients) => Step::ShareStranger,
        _ => return error.to_string(),
    };
    match step.refusal() {
        Some(words) if step == expected => format!("{words}: {error}"),
        _ => error.to_string(),
    }
}
