//! Keys and vaults.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::{account, vault};
use crate::account::Right;
use crate::directory::{ServiceAccount, Vault};
use crate::keyset::Keyset;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::session::Caller;

/// `GET /api/v2/account/keysets`
pub async fn keysets(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Refusal> {
    make_keyset(&service, &caller).await?;
    let state = service.state();
    let account = account(&state.directory, &caller)?;
    let keyset = keyset(account)?.sealed_for(&account.credential.master)?;
    Ok(Json(json!({ "version": 1, "keysets": [keyset] })))
}

/// `GET /api/v1/vaults`: the vaults that the caller may read.
pub async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Refusal> {
    make_keyset(&service, &caller).await?;
    let state = service.state();
    let account = account(&state.directory, &caller)?;
    let readable = |vault: &&Vault| account.may(Right::Read, &vault.id);
    let vaults: Result<Vec<Value>, Refusal> = state
        .directory
        .vaults
        .iter()
        .filter(readable)
        .map(|vault| shown(vault, account))
        .collect();
    Ok(Json(Value::Array(vaults?)))
}

/// `GET /api/v3/vault/{vault}`
pub async fn get(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    make_keyset(&service, &caller).await?;
    let state = service.state();
    let vault = vault(&state.directory, &caller, &id, Right::Read)?;
    Ok(Json(shown(vault, account(&state.directory, &caller)?)?))
}

fn shown(vault: &Vault, account: &ServiceAccount) -> Result<Value, Refusal> {
    let attributes = json!({
        "uuid": vault.id, "name": vault.title, "desc": "", "type": "U", "avatar": "",
    });
    let active = vault
        .items
        .iter()
        .filter(|item| !item.content.archived)
        .count();
    Ok(json!({
        "uuid": vault.id,
        "type": "U",
        "createdAt": vault.created_at,
        "updatedAt": vault.updated_at,
        "attrVersion": 1,
        "contentVersion": vault.content_version,
        "activeItemCount": active,
        "accessorsVersion": 1,
        // The core uses neither number: actions without the right are answered with 403.
        "clientAccess": 0,
        "encAttrs": vault.key.seal_json(&attributes)?,
        "combinedAccess": {
            "vaultUuid": vault.id,
            "accessorType": "user",
            "accessorUuid": account.uuid,
            "accessVersion": 1,
            "acl": 0,
            "leaseTimeout": 0,
            "vaultKeySN": 1,
            "encryptedBy": account.keyset_key.kid,
            "encVaultKey": keyset(account)?.wrap(&vault.key)?,
        },
    }))
}

/// Ensures that the caller's keyset exists, without blocking other requests meanwhile.
async fn make_keyset(service: &Service, caller: &Caller) -> Result<(), Refusal> {
    let (cell, key) = {
        let state = service.state();
        let account = account(&state.directory, caller)?;
        (account.keyset.clone(), account.keyset_key.clone())
    };
    let made = cell.get_or_try_init(|| async {
        tokio::task::spawn_blocking(move || Keyset::generate(key))
            .await
            .map_err(|_| Refusal::internal("the keyset's making was interrupted"))?
            .map_err(Refusal::from)
    });
    made.await.map(|_| ())
}

fn keyset(account: &ServiceAccount) -> Result<&Keyset, Refusal> {
    account
        .keyset
        .get()
        .ok_or_else(|| Refusal::internal("the account has no keyset yet"))
}
