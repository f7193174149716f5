//! Sharing an item: the policy, the check of recipients, and the share itself.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{item, parse, vault};
use crate::account::{RecipientKind, Right, SharePolicy, ShareType};
use crate::crypto::{Envelope, ShareSecret, sha256};
use crate::directory::{Item, Vault};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::session::Caller;
use crate::share::{Recipient, Share, Terms, end_of};

/// `GET /api/v4/itemshare/preflight/{vault}/{item}`: the policy for an item.
pub async fn preflight(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((vault_id, id)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let state = service.state();
    item(
        vault(&state.directory, &caller, &vault_id, Right::Share)?,
        &id,
    )?;
    Ok(Json(shown(&state.directory.policy)))
}

fn shown(policy: &SharePolicy) -> Value {
    let types = policy.allowed_types.iter().map(|kind| match kind {
        ShareType::Authenticated => "A",
        ShareType::Public => "P",
    });
    let kinds = policy.recipient_kinds.iter().map(|kind| match kind {
        RecipientKind::Email => "E",
        RecipientKind::Domain => "D",
    });
    json!({
        "allowedTypes": types.collect::<Vec<_>>(),
        "allowedRecipientTypes": kinds.collect::<Vec<_>>(),
        "maxExpiry": policy.max_lifetime.seconds(),
        "defaultExpiry": policy.default_lifetime.min(policy.max_lifetime).seconds(),
        "maxViews": policy.max_views,
        "files": { "allowed": false, "maxSize": 0 },
    })
}

#[derive(Deserialize)]
struct Recipients {
    recipients: Vec<Recipient>,
}

/// `POST /api/v4/itemshare/validate-recipients`: returns the recipients that the policy does not
/// permit.
pub async fn validate_recipients(
    State(service): State<Arc<Service>>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let Recipients { recipients } = parse(&body)?;
    let state = service.state();
    let (policy, users) = (&state.directory.policy, &state.directory.users);
    let rejected: Vec<&Recipient> = recipients
        .iter()
        .filter(|recipient| !recipient.is_permitted(policy, users))
        .collect();
    Ok(Json(json!({ "rejectedRecipients": rejected })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    uuid: String,
    token: String,
    vault_uuid: String,
    item_uuid: String,
    item_version: u32,
    enc_overview: Envelope,
    enc_details: Envelope,
    enc_share_secret: Envelope,
    #[serde(default)]
    file_references: Option<Vec<Value>>,
    #[serde(rename = "type")]
    kind: WireType,
    #[serde(default)]
    recipients: Vec<Recipient>,
    expiry: u32,
    #[serde(default)]
    max_views: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
enum WireType {
    A,
    P,
}

/// `POST /api/v4/itemshare`: stores the copy and returns the link, to which the core adds the
/// secret.
pub async fn create(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let create: Create = parse(&body)?;
    let now = service.now();
    let mut state = service.state();
    let vault = vault(&state.directory, &caller, &create.vault_uuid, Right::Share)?;
    let item = item(vault, &create.item_uuid)?;
    create.check_item(item)?;
    let kind = match create.kind {
        WireType::A => ShareType::Authenticated,
        WireType::P => ShareType::Public,
    };
    let terms = Terms {
        kind,
        recipients: &create.recipients,
        expiry: create.expiry,
        max_views: create.max_views,
    };
    let lifetime = terms.check(&state.directory.policy, &state.directory.users)?;
    let secret = create.check_secret(vault)?;
    let share = Share {
        uuid: secret.uuid,
        token_hash: sha256(secret.token.as_bytes()),
        vault: vault.id.clone(),
        item: item.id.clone(),
        item_version: item.version,
        service_account: caller.account,
        kind,
        recipients: create.recipients,
        created_at: now,
        expires_at: end_of(lifetime, now),
        max_views: create.max_views,
        views: 0,
        overview: create.enc_overview,
        details: create.enc_details,
    };
    state.shares.add(share)?;
    Ok(Json(json!({ "url": format!("{}/s", service.origin) })))
}

impl Create {
    fn check_item(&self, item: &Item) -> Result<(), Refusal> {
        if item.content.archived {
            return Err(Refusal::bad_request("the item is archived"));
        }
        if item.version != self.item_version {
            return Err(Refusal::conflict("the item has another version by now"));
        }
        if self
            .file_references
            .as_ref()
            .is_some_and(|files| !files.is_empty())
        {
            return Err(Refusal::bad_request("the policy does not allow files"));
        }
        Ok(())
    }

    /// The real service cannot read the copy. This one has the vault's key, so it can, and checks
    /// the client's work.
    fn check_secret(&self, vault: &Vault) -> Result<ShareSecret, Refusal> {
        let bad =
            |what: &str| Refusal::bad_request(format!("{what} does not fit the share's secret"));
        let opened = vault
            .key
            .open(&self.enc_share_secret)
            .map_err(|error| Refusal::bad_request(format!("the share's secret: {error}")))?;
        let text = String::from_utf8(opened).map_err(|_| bad("its text"))?;
        let secret = ShareSecret::derive(&text).ok_or_else(|| bad("its text"))?;
        if !self.uuid.eq_ignore_ascii_case(&secret.uuid) {
            return Err(bad("the id"));
        }
        if !self.token.eq_ignore_ascii_case(&secret.token) {
            return Err(bad("the token"));
        }
        for (envelope, what) in [
            (&self.enc_overview, "the overview"),
            (&self.enc_details, "the details"),
        ] {
            secret.key.open(envelope).map_err(|_| bad(what))?;
        }
        Ok(secret)
    }
}
