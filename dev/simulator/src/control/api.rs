//! The routes of the control API.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use jiff::SignedDuration;

use super::{Id, ItemChanges, ItemSummary, ShareSummary, Shift, Time, Token, VaultSummary};
use crate::account::{self, AccountError, SharePolicy};
use crate::directory::{Directory, Item, ServiceAccount, Vault};
use crate::faults::{Fault, FaultKind};
use crate::log::RequestLog;
use crate::refusal::Refusal;
use crate::routes::ROUTES;
use crate::service::Service;
use crate::share::Share;

type Answer<T> = Result<Json<T>, Refusal>;
type Done = Result<StatusCode, Refusal>;

const DONE: Done = Ok(StatusCode::NO_CONTENT);

/// Everything under `/_control`.
pub fn router(service: &Arc<Service>) -> Router {
    let control = Router::new()
        .route("/service-accounts", post(add_service_account))
        .route("/service-accounts/{name}/token", get(token).delete(revoke))
        .route("/service-accounts/{name}/rotation", post(rotate))
        .route("/vaults", get(vaults))
        .route("/vaults/{vault}/items", post(add_item))
        .route(
            "/vaults/{vault}/items/{item}",
            delete(remove_item).patch(edit_item),
        )
        .route("/policy", get(policy).put(set_policy))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/clock", get(clock).post(shift_clock))
        .route("/requests", get(requests).delete(reset_requests))
        .route("/shares", get(shares));
    Router::new()
        .nest("/_control", control)
        .with_state(service.clone())
}

async fn add_service_account(
    State(service): State<Arc<Service>>,
    Json(added): Json<account::ServiceAccount>,
) -> Done {
    let mut state = service.state();
    if let Some(vault) = added
        .vaults
        .keys()
        .find(|vault| state.directory.resolve_vault(vault).is_none())
    {
        return Err(Refusal::not_found(format!(
            "`{vault}` does not name exactly one vault"
        )));
    }
    state.directory.add_service_account(added, &service.seed);
    DONE
}

async fn token(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Answer<Token> {
    let mut state = service.state();
    let account = account_named(&mut state.directory, &name)?;
    Ok(Json(Token {
        token: account.credential.token(&account.email, &service.origin),
    }))
}

async fn revoke(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Done {
    let mut state = service.state();
    account_named(&mut state.directory, &name)?
        .credential
        .revoked = true;
    DONE
}

async fn rotate(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Answer<Token> {
    let mut state = service.state();
    let account = account_named(&mut state.directory, &name)?;
    account.rotate(&service.seed);
    Ok(Json(Token {
        token: account.credential.token(&account.email, &service.origin),
    }))
}

async fn vaults(State(service): State<Arc<Service>>) -> Json<Vec<VaultSummary>> {
    let state = service.state();
    Json(state.directory.vaults.iter().map(vault_summary).collect())
}

fn vault_summary(vault: &Vault) -> VaultSummary {
    VaultSummary {
        id: vault.id.clone(),
        title: vault.title.clone(),
        items: vault.items.iter().map(item_summary).collect(),
    }
}

fn item_summary(item: &Item) -> ItemSummary {
    ItemSummary {
        id: item.id.clone(),
        title: item.content.title.clone(),
        version: item.version,
        updated_at: item.updated_at,
        archived: item.content.archived,
    }
}

async fn add_item(
    State(service): State<Arc<Service>>,
    Path(vault): Path<String>,
    Json(item): Json<account::Item>,
) -> Answer<Id> {
    item.check()
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    let now = service.now();
    let mut state = service.state();
    if let Some(id) = &item.id {
        let taken = state
            .directory
            .vaults
            .iter()
            .any(|vault| vault.item(id).is_some());
        if taken || !crate::encoding::is_uuid(id) {
            return Err(Refusal::bad_request(
                AccountError::BadId(id.clone()).to_string(),
            ));
        }
    }
    let id = vault_named(&mut state.directory, &vault)?
        .add(item, &service.seed, now)
        .id
        .clone();
    Ok(Json(Id { id }))
}

async fn edit_item(
    State(service): State<Arc<Service>>,
    Path((vault, item)): Path<(String, String)>,
    Json(changes): Json<ItemChanges>,
) -> Answer<ItemSummary> {
    let now = service.now();
    let mut state = service.state();
    let vault = vault_named(&mut state.directory, &vault)?;
    let place = place_of(vault, &item)?;
    vault.edit(place, now, |item| {
        let ItemChanges {
            title,
            tags,
            fields,
            notes,
            archived,
        } = changes;
        item.title = title.unwrap_or(std::mem::take(&mut item.title));
        item.tags = tags.unwrap_or(std::mem::take(&mut item.tags));
        item.fields = fields.unwrap_or(std::mem::take(&mut item.fields));
        item.notes = notes.unwrap_or(std::mem::take(&mut item.notes));
        item.archived = archived.unwrap_or(item.archived);
    });
    Ok(Json(item_summary(&vault.items[place])))
}

async fn remove_item(
    State(service): State<Arc<Service>>,
    Path((vault, item)): Path<(String, String)>,
) -> Done {
    let now = service.now();
    let mut state = service.state();
    let vault = vault_named(&mut state.directory, &vault)?;
    let place = place_of(vault, &item)?;
    vault.remove(place, now);
    DONE
}

async fn policy(State(service): State<Arc<Service>>) -> Json<SharePolicy> {
    Json(service.state().directory.policy.clone())
}

async fn set_policy(State(service): State<Arc<Service>>, Json(policy): Json<SharePolicy>) -> Done {
    service.state().directory.policy = policy;
    DONE
}

async fn add_fault(State(service): State<Arc<Service>>, Json(fault): Json<Fault>) -> Done {
    if fault.route != "*" && !ROUTES.contains(&&*fault.route) {
        let known = ROUTES.join(", ");
        return Err(Refusal::bad_request(format!(
            "no route `{}`; use * or one of: {known}",
            fault.route
        )));
    }
    if let FaultKind::Status { status, .. } | FaultKind::StatusAfterEffect { status } = fault.kind
        && !(200..600).contains(&status)
    {
        return Err(Refusal::bad_request(format!(
            "{status} is not a status; use 200 to 599"
        )));
    }
    service.state().faults.add(fault);
    DONE
}

async fn clear_faults(State(service): State<Arc<Service>>) -> Done {
    service.state().faults.clear();
    DONE
}

async fn clock(State(service): State<Arc<Service>>) -> Json<Time> {
    Json(Time { now: service.now() })
}

async fn shift_clock(State(service): State<Arc<Service>>, Json(shift): Json<Shift>) -> Json<Time> {
    service
        .clock
        .shift(SignedDuration::from_millis(shift.milliseconds));
    Json(Time { now: service.now() })
}

async fn requests(State(service): State<Arc<Service>>) -> Json<RequestLog> {
    Json(service.state().log.shown().clone())
}

async fn reset_requests(State(service): State<Arc<Service>>) -> Done {
    service.state().log.reset();
    DONE
}

async fn shares(State(service): State<Arc<Service>>) -> Json<Vec<ShareSummary>> {
    Json(service.state().shares.iter().map(share_summary).collect())
}

fn share_summary(share: &Share) -> ShareSummary {
    ShareSummary {
        uuid: share.uuid.clone(),
        vault: share.vault.clone(),
        item: share.item.clone(),
        item_version: share.item_version,
        service_account: share.service_account.clone(),
        kind: share.kind,
        recipients: share
            .recipients
            .iter()
            .map(|recipient| recipient.name())
            .collect(),
        created_at: share.created_at,
        expires_at: share.expires_at,
        max_views: share.max_views,
        views: share.views,
    }
}

fn account_named<'a>(
    directory: &'a mut Directory,
    name: &str,
) -> Result<&'a mut ServiceAccount, Refusal> {
    directory
        .service_account_mut(name)
        .ok_or_else(|| Refusal::not_found(format!("there is no service account `{name}`")))
}

fn vault_named<'a>(directory: &'a mut Directory, named: &str) -> Result<&'a mut Vault, Refusal> {
    directory
        .resolve_vault_mut(named)
        .ok_or_else(|| Refusal::not_found(format!("`{named}` does not name exactly one vault")))
}

fn place_of(vault: &Vault, named: &str) -> Result<usize, Refusal> {
    vault.resolve_item(named).ok_or_else(|| {
        Refusal::not_found(format!(
            "`{named}` does not name exactly one item in this vault"
        ))
    })
}
