//! Signing in: four requests, the last of which is already encrypted.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use num_bigint::BigUint;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{account, parse, require_valid};
use crate::encoding::{base64url, from_base64url, random};
use crate::gate::Asker;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::session::{Caller, Owner};
use crate::srp::{Handshake, Login};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    email: String,
    sk_format: String,
    skid: String,
    device_uuid: String,
}

/// `POST /api/v3/auth/start`: the client identifies itself.
pub async fn start(State(service): State<Arc<Service>>, body: Bytes) -> Result<Response, Refusal> {
    let start: Start = parse(&body)?;
    if start.sk_format != "A3" || start.device_uuid.is_empty() {
        return Err(Refusal::bad_request(
            "a secret key of format A3 and a device are needed",
        ));
    }
    let mut state = service.state();
    let found = state.directory.service_accounts.iter().find(|account| {
        account.email.eq_ignore_ascii_case(&start.email)
            && account.credential.account_key_uuid == start.skid
            && !account.credential.revoked
    });
    let account = found.ok_or_else(|| Refusal::unauthorized("no token of this account"))?;
    let owner = Owner {
        account: account.name.clone(),
        account_key_uuid: start.skid.clone(),
    };
    let user_auth = account.credential.user_auth();
    let asker = Asker(owner.account.clone());
    let session = state.sessions.start(owner, service.now());
    let answer = Json(json!({
        "status": "ok",
        "sessionID": session,
        "accountKeyFormat": "A3",
        "accountKeyUuid": start.skid,
        "userAuth": user_auth,
    }));
    let mut response = answer.into_response();
    response.extensions_mut().insert(asker);
    Ok(response)
}

#[derive(Deserialize)]
struct Exchange {
    #[serde(rename = "userA")]
    user_a: String,
}

/// `POST /api/v2/auth`: the exchange of public values.
pub async fn exchange(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let exchange: Exchange = parse(&body)?;
    let known = Known::of(&service, &headers)?;
    // Takes some hundredths of a second of arithmetic.
    let handshake = tokio::task::spawn_blocking(move || known.answer(&exchange.user_a))
        .await
        .map_err(|_| Refusal::internal("the exchange was interrupted"))?
        .ok_or_else(|| Refusal::bad_request("the public value is not usable"))?;
    let answer = json!({ "userB": handshake.server_public });
    service
        .state()
        .sessions
        .challenged(&headers, handshake, service.now())?;
    Ok(Json(answer))
}

/// The data about the client that signs in, apart from the state.
struct Known {
    account_key_uuid: String,
    email: String,
    salt: [u8; 16],
    x: BigUint,
}

impl Known {
    fn of(service: &Service, headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut state = service.state();
        let owner = state.sessions.started(headers, service.now())?;
        require_valid(&state.directory, &owner)?;
        let account = state
            .directory
            .service_account(&owner.account)
            .ok_or_else(|| Refusal::unauthorized("there is no such service account"))?;
        Ok(Self {
            account_key_uuid: owner.account_key_uuid,
            email: account.email.clone(),
            salt: account.credential.salt,
            x: account.credential.srp_x.clone(),
        })
    }

    fn answer(&self, client_public: &str) -> Option<Handshake> {
        let login = Login {
            account_key_uuid: &self.account_key_uuid,
            email: &self.email,
            salt: &self.salt,
            x: &self.x,
        };
        Handshake::answer(&login, client_public, &random::<32>())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Confirm {
    client_verify_hash: String,
}

/// `POST /api/v2/auth/confirm-key`: both sides prove that they know the session's key.
pub async fn confirm(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let confirm: Confirm = parse(&body)?;
    let proof = from_base64url(&confirm.client_verify_hash)
        .ok_or_else(|| Refusal::bad_request("the proof is not base64url"))?;
    let server_proof = service
        .state()
        .sessions
        .prove(&headers, &proof, service.now())?;
    Ok(Json(
        json!({ "serverVerifyHash": base64url(&server_proof) }),
    ))
}

/// `POST /api/v2/auth/complete`: from here on, everything is encrypted.
pub async fn complete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Refusal> {
    let mut state = service.state();
    state.sessions.complete(&caller.session);
    let user = account(&state.directory, &caller)?
        .uuid
        .to_ascii_uppercase();
    Ok(Json(json!({ "userUuid": user })))
}
