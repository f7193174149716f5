//! An HTTP server that strangers cannot exhaust: it bounds connections, time and memory.
//!
//! Every pod may be able to open connections and leave them idle. The server accepts each new
//! connection and closes the oldest one if there are too many: it answers a probe within
//! milliseconds, long before the probe's connection is the oldest.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::Tasks;

/// The time limit for a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// The time limit for a connection, which serves one request.
const OVER_WITHIN: Duration = Duration::from_secs(15);
/// The size limit for a request's head.
const LARGEST_HEAD: usize = 16 * 1024;
/// How long to wait when the process has no file descriptor left.
const WITHOUT_DESCRIPTORS: Duration = Duration::from_millis(200);

/// What a port serves.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Its name, for errors and logs.
    pub what: &'static str,
    /// The flag that sets its address.
    pub setting: &'static str,
    /// The maximum number of connections. The process may hold a response for each of them.
    pub connections: usize,
}

/// The address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {what}: {error}; choose another address with {setting}")]
pub struct ListenError {
    address: SocketAddr,
    what: &'static str,
    setting: &'static str,
    error: io::Error,
}

/// Answers requests until the process stops; returns the address (the system chooses a port for 0).
pub async fn listen(
    address: SocketAddr,
    served: Served,
    routes: Router,
    tasks: &Tasks,
) -> Result<SocketAddr, ListenError> {
    let Served {
        what,
        setting,
        connections,
    } = served;
    let failed = |error| ListenError {
        address,
        what,
        setting,
        error,
    };
    let listener = bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let bounds = Bounds {
        connections,
        head_within: HEAD_WITHIN,
        over_within: OVER_WITHIN,
    };
    tasks.keep(format!("{what} server"), async move {
        serve_within(bounds, listener, routes).await
    });
    Ok(bound)
}

/// The limits of one server.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    connections: usize,
    head_within: Duration,
    over_within: Duration,
}

/// Listens. The unspecified IPv6 address includes all IPv4 addresses; a machine without IPv6 has
/// only those.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    routes: Router,
) -> Result<(), Infallible> {
    let mut connections = Connections::new(bounds.connections);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connections.add(answer(bounds, stream, routes.clone())),
            // The client has already closed the connection.
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(WITHOUT_DESCRIPTORS).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

async fn answer(bounds: Bounds, stream: TcpStream, routes: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_within)
        .max_buf_size(LARGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // A client without a response has sent a bad or slow request, or is gone.
    tokio::time::timeout(bounds.over_within, connection)
        .await
        .ok();
}

/// The open connections, the oldest first.
struct Connections {
    tasks: JoinSet<()>,
    in_order: Vec<AbortHandle>,
    at_most: usize,
}

impl Connections {
    fn new(at_most: usize) -> Self {
        Self {
            tasks: JoinSet::new(),
            in_order: Vec::new(),
            at_most,
        }
    }

    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.in_order.retain(|task| !task.is_finished());
        while self.in_order.len() >= self.at_most {
            self.in_order.remove(0).abort();
        }
        self.in_order.push(self.tasks.spawn(connection));
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Long enough for any machine; no test waits this long.
    const AT_THE_LATEST: Duration = Duration::from_secs(60);
    const PATIENT: Bounds = Bounds {
        connections: 8,
        head_within: AT_THE_LATEST,
        over_within: AT_THE_LATEST,
    };

    async fn served(bounds: Bounds) -> SocketAddr {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let routes = Router::new().route("/livez", get(|| async { "ok" }));
        tokio::spawn(serve_within(bounds, listener, routes));
        address
    }

    async fn connected(address: SocketAddr, says: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(says).await.expect("sent");
        stream
    }

    /// Everything until the server closes the connection; a reset counts as closed.
    async fn rest_of(mut stream: TcpStream) -> String {
        let mut said = Vec::new();
        let read = tokio::time::timeout(AT_THE_LATEST, stream.read_to_end(&mut said)).await;
        read.expect("closed").ok();
        String::from_utf8_lossy(&said).into_owned()
    }

    async fn livez(address: SocketAddr) -> String {
        rest_of(connected(address, b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await).await
    }

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

    #[tokio::test]
    async fn a_probe_is_answered_however_many_connections_lie_idle() {
        let address = served(PATIENT).await;
        let mut idle = Vec::new();
        for _ in 0..50 {
            idle.push(connected(address, b"").await);
        }
        assert!(livez(address).await.ends_with("\r\n\r\nok"));
        // The oldest connections were closed, to stay within the limit.
        for stream in idle.drain(..40) {
            assert_eq!(rest_of(stream).await, "");
        }
    }

    #[tokio::test]
    async fn a_connection_is_for_one_request_and_one_that_never_ends_is_closed() {
        let soon = Duration::from_millis(50);
        let slow_head = Bounds {
            head_within: soon,
            ..PATIENT
        };
        let slow_at_all = Bounds {
            over_within: soon,
            ..PATIENT
        };
        for bounds in [slow_head, slow_at_all] {
            let address = served(bounds).await;
            let half = connected(address, b"GET /livez HTTP/1.1\r\nhost: x\r\nx-1: ").await;
            assert!(!rest_of(half).await.contains("200 OK"));
        }
        let silent = connected(served(slow_at_all).await, b"").await;
        assert_eq!(rest_of(silent).await, "");
        let twice = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
        let said = rest_of(connected(served(PATIENT).await, twice).await).await;
        assert_eq!(said.matches("200 OK").count(), 1, "{said}");
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_refused_before_it_fills_the_memory() {
        let address = served(PATIENT).await;
        let mut stream = connected(address, b"GET /livez HTTP/1.1\r\nhost: x\r\n").await;
        let line = [b"x-a: ".as_slice(), &[b'a'; 4_000], b"\r\n"].concat();
        let mut sent = 0;
        // The system's buffers accept some of it after the server has closed the connection.
        while stream.write_all(&line).await.is_ok() {
            sent += line.len();
            assert!(sent < 64 << 20, "the server never stops reading");
        }
        assert!(livez(address).await.contains("200 OK"), "others are served");
    }
}
