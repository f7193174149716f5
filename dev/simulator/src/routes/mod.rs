//! The service's routes as the core calls them, and the page for a share's recipient.

mod auth;
mod items;
mod shares;
mod vaults;
mod viewer;

pub use viewer::{View, Viewed};

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;

use crate::account::Right;
use crate::directory::{Directory, Item, ServiceAccount, Vault};
use crate::gate;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::session::{Caller, Owner};

/// The last step of a sign-in.
pub const COMPLETE: &str = "/api/v2/auth/complete";
/// A POST that changes nothing.
pub const VALIDATE_RECIPIENTS: &str = "/api/v4/itemshare/validate-recipients";

/// Every route of the service, with the names that the request log and faults use.
pub const ROUTES: [&str; 12] = [
    "POST /api/v3/auth/start",
    "POST /api/v2/auth",
    "POST /api/v2/auth/confirm-key",
    "POST /api/v2/auth/complete",
    "GET /api/v2/account/keysets",
    "GET /api/v1/vaults",
    "GET /api/v3/vault/{vault}",
    "GET /api/v1/vault/{vault}/items/overviews",
    "GET /api/v1/vault/{vault}/item/{item}",
    "GET /api/v4/itemshare/preflight/{vault}/{item}",
    "POST /api/v4/itemshare/validate-recipients",
    "POST /api/v4/itemshare",
];

/// All routes of the service.
pub fn router(service: &Arc<Service>) -> Router {
    let secured = Router::new()
        .route(COMPLETE, post(auth::complete))
        .route("/api/v2/account/keysets", get(vaults::keysets))
        .route("/api/v1/vaults", get(vaults::list))
        .route("/api/v3/vault/{vault}", get(vaults::get))
        .route(
            "/api/v1/vault/{vault}/items/overviews",
            get(items::overviews),
        )
        .route("/api/v1/vault/{vault}/item/{item}", get(items::get))
        .route(
            "/api/v4/itemshare/preflight/{vault}/{item}",
            get(shares::preflight),
        )
        .route(VALIDATE_RECIPIENTS, post(shares::validate_recipients))
        .route("/api/v4/itemshare", post(shares::create))
        .route_layer(from_fn_with_state(service.clone(), gate::secure));
    let service_routes = Router::new()
        .route("/api/v3/auth/start", post(auth::start))
        .route("/api/v2/auth", post(auth::exchange))
        .route("/api/v2/auth/confirm-key", post(auth::confirm))
        .merge(secured)
        .fallback(|| async { Refusal::not_found("the service has no such route") })
        .layer(from_fn(gate::identify))
        .layer(from_fn_with_state(service.clone(), gate::observe));
    let viewer = Router::new()
        .route("/s", get(viewer::page))
        .route("/s/{uuid}/view", post(viewer::view));
    viewer.merge(service_routes).with_state(service.clone())
}

/// Reads a JSON body.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body is not as expected: {error}")))
}

/// Refuses a caller whose credential was revoked or replaced.
pub fn require_valid(directory: &Directory, owner: &Owner) -> Result<(), Refusal> {
    let valid = directory
        .service_account(&owner.account)
        .is_some_and(|account| {
            !account.credential.revoked
                && account.credential.account_key_uuid == owner.account_key_uuid
        });
    valid
        .then_some(())
        .ok_or_else(|| Refusal::unauthorized("the token was revoked"))
}

/// The caller's service account.
fn account<'a>(directory: &'a Directory, caller: &Caller) -> Result<&'a ServiceAccount, Refusal> {
    directory
        .service_account(&caller.account)
        .ok_or_else(|| Refusal::unauthorized("there is no such service account"))
}

/// A vault in which the caller has a right: 404 if it does not exist, 403 if the right is missing.
fn vault<'a>(
    directory: &'a Directory,
    caller: &Caller,
    id: &str,
    right: Right,
) -> Result<&'a Vault, Refusal> {
    let vault = directory
        .vault(id)
        .ok_or_else(|| Refusal::not_found("there is no such vault"))?;
    if !account(directory, caller)?.may(right, &vault.id) {
        return Err(Refusal::forbidden(format!(
            "no right to {right:?} in this vault"
        )));
    }
    Ok(vault)
}

/// An item of a vault.
fn item<'a>(vault: &'a Vault, id: &str) -> Result<&'a Item, Refusal> {
    vault
        .item(id)
        .ok_or_else(|| Refusal::not_found("there is no such item"))
}
