//! The target of a share's link. It is unknown how the real page queries the service; these
//! requests are the simulator's own.
//!
//! The real page sends a code to the address that the viewer claims. The simulator plays both
//! sides, so it trusts the claim.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use super::parse;
use crate::crypto::Envelope;
use crate::refusal::Refusal;
use crate::service::Service;

/// The viewer's request.
#[derive(Serialize, Deserialize)]
pub struct View {
    /// Derived from the link's secret.
    pub token: String,
    /// The address that the viewer has proven.
    pub email: String,
}

/// The viewer's response, to be decrypted with the key in the link.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Viewed {
    /// Title, tags, addresses.
    pub enc_overview: Envelope,
    /// Fields and notes.
    pub enc_details: Envelope,
}

/// `GET /s`: the link itself. Browsers do not send the part after the `#`.
pub async fn page(State(service): State<Arc<Service>>) -> String {
    let domain = service.state().directory.domain.clone();
    format!("A simulated share of {domain}. Open its link with the simulator's control client.\n")
}

/// `POST /s/{uuid}/view`
pub async fn view(
    State(service): State<Arc<Service>>,
    Path(uuid): Path<String>,
    body: Bytes,
) -> Result<Json<Viewed>, Refusal> {
    let view: View = parse(&body)?;
    let mut state = service.state();
    let share = state
        .shares
        .view(&uuid, &view.token, &view.email, service.now())?;
    Ok(Json(Viewed {
        enc_overview: share.overview.clone(),
        enc_details: share.details.clone(),
    }))
}
