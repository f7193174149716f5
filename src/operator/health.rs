//! Health and metrics over HTTP, each on its own port: `/livez` and `/readyz` for the kubelet,
//! `/metrics` for Prometheus.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::cluster::Cluster;
use crate::controllers::boundary::Boundary;
use crate::controllers::gauges::Gauges;
use crate::runtime::Tasks;
use crate::runtime::http_server::{ListenError, Served, listen};

/// OpenMetrics, as prometheus-client writes it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Prometheus' own text format.
const PLAIN_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Health {
    cluster: Arc<Cluster>,
    boundary: Arc<Boundary>,
}

/// Serves health until the operator stops; returns the address (the system chooses a port for 0).
pub(super) async fn serve(
    address: SocketAddr,
    cluster: Arc<Cluster>,
    boundary: Arc<Boundary>,
    tasks: &Tasks,
) -> Result<SocketAddr, ListenError> {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(Health { cluster, boundary });
    let what = Served {
        what: "health",
        setting: "--listen",
        connections: 64,
    };
    listen(address, what, routes, tasks).await
}

/// Serves metrics in the same way.
pub(super) async fn serve_metrics(
    address: SocketAddr,
    gauges: Arc<Gauges>,
    tasks: &Tasks,
) -> Result<SocketAddr, ListenError> {
    let routes = Router::new()
        .route("/metrics", get(page))
        .with_state(gauges);
    let what = Served {
        what: "metrics",
        setting: "--listen-metrics",
        // A response with metrics is larger than one with health.
        connections: 16,
    };
    listen(address, what, routes, tasks).await
}

/// Ready once every watch has listed its objects, and while the admission policies are in force. A
/// replica that waits to lead is ready, too.
async fn ready(State(shown): State<Health>) -> impl IntoResponse {
    let unsynced = shown.cluster.unsynced();
    let reading = (!unsynced.is_empty()).then(|| format!("still syncing: {}", unsynced.join(", ")));
    // A broken boundary may be why something cannot be read.
    let problems: Vec<_> = shown
        .boundary
        .seen()
        .broken
        .into_iter()
        .chain(reading)
        .collect();
    match problems.is_empty() {
        false => (StatusCode::SERVICE_UNAVAILABLE, problems.join("; ")),
        true => (StatusCode::OK, "ok".to_owned()),
    }
}

/// In the format that the reader accepts: Prometheus asks for OpenMetrics, people do not.
async fn page(State(gauges): State<Arc<Gauges>>, headers: HeaderMap) -> impl IntoResponse {
    let mut accepts = headers.get_all(header::ACCEPT).iter();
    let is_open = accepts.any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.contains("application/openmetrics-text")
    });
    let metrics = gauges.metrics();
    match is_open {
        true => ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.encode()),
        false => ([(header::CONTENT_TYPE, PLAIN_TEXT)], metrics.encode_plain()),
    }
}
