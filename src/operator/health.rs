//! Health and metrics over HTTP, each on its own port: `/livez` and `/readyz` for the kubelet,
//! `/metrics` for Prometheus.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::cluster::Cluster;
use crate::controllers::boundary::Boundary;
use crate::runtime::Tasks;
use crate::runtime::http_server::{ListenError, Served, listen};
use crate::telemetry::Metrics;

/// OpenMetrics, as prometheus-client writes it.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
    metrics: Arc<Metrics>,
    tasks: &Tasks,
) -> Result<SocketAddr, ListenError> {
    let routes = Router::new()
        .route("/metrics", get(page))
        .with_state(metrics);
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

async fn page(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], metrics.encode())
}
