//! Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::cluster::Cluster;
use crate::controllers::boundary::Boundary;
use crate::runtime::Tasks;
use crate::telemetry::Metrics;

/// OpenMetrics, as prometheus-client writes it.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Shown {
    cluster: Arc<Cluster>,
    boundary: Arc<Boundary>,
    metrics: Arc<Metrics>,
}

/// Nothing can be served there.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for health and metrics: {error}; choose another address with --listen"
)]
pub struct ListenError {
    address: SocketAddr,
    error: io::Error,
}

/// Serves health and metrics until the operator stops; says where (a port of 0 lets the system choose one).
pub(super) async fn serve(
    address: SocketAddr,
    cluster: Arc<Cluster>,
    boundary: Arc<Boundary>,
    metrics: Arc<Metrics>,
    tasks: &Tasks,
) -> Result<SocketAddr, ListenError> {
    let failed = |error| ListenError { address, error };
    let listener = bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let routes = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(page))
        .with_state(Shown {
            cluster,
            boundary,
            metrics,
        });
    tasks.keep("health server", async move {
        axum::serve(listener, routes).await
    });
    Ok(bound)
}

/// Every address of IPv6 is every one of IPv4, too; a machine without IPv6 has only these.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// Ready once every watch has told everything, and while the admission policies are in force. A replica that waits for its turn
/// to lead is ready, too.
async fn ready(State(shown): State<Shown>) -> impl IntoResponse {
    let unsynced = shown.cluster.unsynced();
    let problem = match unsynced.is_empty() {
        true => shown.boundary.seen().broken,
        false => Some(format!("still reading: {}", unsynced.join(", "))),
    };
    match problem {
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem),
        None => (StatusCode::OK, "ok".to_owned()),
    }
}

async fn page(State(shown): State<Shown>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, METRICS_TYPE)],
        shown.metrics.encode(),
    )
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn who_listens_everywhere_is_reached_by_ipv4() {
        let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let listener = bind(everywhere).await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        assert!(
            TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .is_ok()
        );
        let taken = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert!(
            bind(taken).await.is_err(),
            "another one is not chosen instead"
        );
    }
}
