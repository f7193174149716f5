//! The layers of every request and response: outside, the log, the faults and the clock; inside,
//! session, MAC, quota and encryption.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::connection::Switch;
use crate::crypto::Envelope;
use crate::faults::FaultKind;
use crate::quota::{Action, Limits};
use crate::refusal::{Refusal, Why};
use crate::routes;
use crate::service::Service;
use crate::session::Owner;

/// Much more than any request of the protocol.
const BODY_LIMIT: usize = 4 << 20;

/// The caller, for the log.
#[derive(Clone)]
pub struct Asker(pub String);

/// Adds the service's time to every response.
pub async fn date(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&service.now());
    if let Some(value) = date.ok().and_then(|date| HeaderValue::from_str(&date).ok()) {
        response.headers_mut().insert(header::DATE, value);
    }
    response
}

/// Rejects requests without the client's headers: the core always sends them, and its host must
/// pass them on.
pub async fn identify(request: Request, next: Next) -> Result<Response, Refusal> {
    const SAID_BY_THE_CORE: [&str; 3] = ["x-agilebits-client", "op-user-agent", "user-agent"];
    let missing = |name: &&&str| !request.headers().contains_key(**name);
    match SAID_BY_THE_CORE.iter().find(missing) {
        Some(name) => Err(Refusal::bad_request(format!(
            "the header {name} is missing"
        ))),
        None => Ok(next.run(request).await),
    }
}

/// Logs a request to the service and applies the faults for it.
pub async fn observe(
    State(service): State<Arc<Service>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
    next: Next,
) -> Response {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("(no route)", MatchedPath::as_str);
    let route = format!("{} {path}", request.method());
    let arrived = service.now();
    let (number, fault) = {
        let mut state = service.state();
        let fault = state.faults.take(&route);
        let name = fault.as_ref().map(FaultKind::name);
        (state.log.arrived(&route, name, arrived), fault)
    };
    let response = match fault {
        None => next.run(request).await,
        Some(fault) => disturb(fault, &service, &switch, request, next).await,
    };
    let extensions = response.extensions();
    let took = service.now().duration_since(arrived);
    service.state().log.answered(number, |entry| {
        entry.micros = u64::try_from(took.as_micros()).ok();
        entry.status = (!switch.is_reset()).then(|| response.status().as_u16());
        entry.service_account = extensions.get::<Asker>().map(|asker| asker.0.clone());
        entry.refusal = extensions.get::<Why>().map(|why| why.0.clone());
    });
    response
}

async fn disturb(
    fault: FaultKind,
    service: &Service,
    switch: &Switch,
    request: Request,
    next: Next,
) -> Response {
    match fault {
        FaultKind::Status {
            status,
            retry_after,
        } => {
            let mut response = bare(status);
            if let Some(value) = retry_after.and_then(|text| HeaderValue::from_str(&text).ok()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            response
        }
        FaultKind::StatusAfterEffect { status } => {
            next.run(request).await;
            bare(status)
        }
        FaultKind::Delay { milliseconds } => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            next.run(request).await
        }
        FaultKind::DelayAfterEffect { milliseconds } => {
            let response = next.run(request).await;
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            response
        }
        FaultKind::Hang => std::future::pending().await,
        FaultKind::HangAfterEffect => {
            next.run(request).await;
            std::future::pending().await
        }
        FaultKind::ResetBeforeEffect => {
            switch.reset();
            bare(500)
        }
        FaultKind::ResetAfterEffect => {
            next.run(request).await;
            switch.reset();
            bare(500)
        }
        FaultKind::Garbage => {
            next.run(request).await;
            (
                [(header::CONTENT_TYPE, "application/json")],
                "<html>\u{1F980} {\"",
            )
                .into_response()
        }
        FaultKind::Oversized { bytes } => {
            next.run(request).await;
            ([(header::CONTENT_TYPE, "application/json")], flood(bytes)).into_response()
        }
        FaultKind::Redirect { location } => {
            let location = location.unwrap_or_else(|| format!("{}/redirected", service.origin));
            (
                StatusCode::TEMPORARY_REDIRECT,
                [(header::LOCATION, location)],
            )
                .into_response()
        }
        FaultKind::ExpiredSession => {
            service.state().sessions.end(request.headers());
            next.run(request).await
        }
    }
}

fn bare(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        Json(serde_json::json!({ "errorCode": status.as_u16() })),
    )
        .into_response()
}

/// A chunked body with one long JSON string, without an announced length.
fn flood(bytes: u64) -> Body {
    const PIECE: usize = 64 << 10;
    let pieces = usize::try_from(bytes / PIECE as u64).unwrap_or(usize::MAX);
    let opening = futures::stream::iter([Bytes::from_static(b"\"")]);
    let rest = futures::stream::repeat(Bytes::from(vec![b'x'; PIECE])).take(pieces);
    Body::from_stream(opening.chain(rest).map(Ok::<_, Infallible>))
}

/// Accepts only requests of a signed-in client, decrypts them, and encrypts the responses.
pub async fn secure(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| Refusal::bad_request("the body is cut off or too long"))?;
    let caller = {
        let mut state = service.state();
        let (caller, owner) = state.sessions.verify(&parts, service.now())?;
        routes::require_valid(&state.directory, &owner)?;
        if service.enforce_quotas && parts.uri.path() != routes::COMPLETE {
            let limits = Limits::of(state.directory.plan);
            let Owner {
                account_key_uuid: token,
                ..
            } = owner;
            state.quotas.take(
                &token,
                action(&parts.method, parts.uri.path()),
                limits,
                service.now(),
            )?;
        }
        caller
    };
    // A GET has no body, with one exception: when the core repeats it after a new sign-in, it
    // encrypts an empty one.
    let plaintext = if parts.method == Method::GET && body.is_empty() {
        Vec::new()
    } else {
        let envelope: Envelope = serde_json::from_slice(&body)
            .map_err(|_| Refusal::bad_request("the body is no envelope"))?;
        let opened = caller.key.open(&envelope);
        opened.map_err(|error| Refusal::bad_request(format!("the body: {error}")))?
    };
    parts.extensions.insert(caller.clone());
    let response = next
        .run(Request::from_parts(parts, Body::from(plaintext)))
        .await;

    let (mut parts, mut body) = response.into_parts();
    if parts.status.is_success() {
        let plaintext = to_bytes(body, usize::MAX)
            .await
            .map_err(|_| Refusal::internal("the answer could not be read"))?;
        let envelope = caller.key.seal(&plaintext)?;
        parts.headers.remove(header::CONTENT_LENGTH);
        body = Json(envelope).into_response().into_body();
    }
    parts.extensions.insert(Asker(caller.account));
    Ok(Response::from_parts(parts, body))
}

/// A read is a request that changes nothing, regardless of its method.
fn action(method: &Method, path: &str) -> Action {
    if *method == Method::GET || path == routes::VALIDATE_RECIPIENTS {
        Action::Read
    } else {
        Action::Write
    }
}
