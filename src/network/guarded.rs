//! Makes connections to hosts that others than the operator's administrator name: only to allowed
//! addresses. A name is resolved once, its addresses are checked, and the connection is made to one
//! of these very addresses, so an answer of DNS that changes in between changes nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tower::Service;

use super::allowed::{AllowedHosts, NotAllowed};
use super::connector::{
    Blocked, Connector, Hindrance, Unconnected, Unreached, Wire, host_of, shown,
};

/// The number of a host's addresses that are tried.
const MOST_ADDRESSES: usize = 4;

/// Makes connections to allowed addresses.
#[derive(Clone)]
pub struct GuardedConnector {
    connector: Connector,
    allowed: Arc<AllowedHosts>,
    timeout: Duration,
    resolve: Resolve,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NoConnection {
    /// The destination is not allowed.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The destination is out of reach.
    #[error(transparent)]
    Unconnected(#[from] Unconnected),
}

type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
type Resolve = Arc<dyn Fn(String, u16) -> Resolving + Send + Sync>;

impl GuardedConnector {
    /// `timeout` bounds the connection to a destination, and the one to a proxy.
    pub(super) fn new(connector: Connector, allowed: Arc<AllowedHosts>, timeout: Duration) -> Self {
        Self {
            connector,
            allowed,
            timeout,
            resolve: Arc::new(|host, port| {
                Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
            }),
        }
    }

    /// A connection to a host and port, with TLS if the scheme is `https` or `smtps`.
    pub async fn connect(&self, to: &Uri) -> Result<Box<dyn Wire>, NoConnection> {
        if let Some(proxy) = self.connector.proxy_to(to)? {
            self.allowed.permit_by_proxy(host_of(to))?;
            return Ok(self.connector.through(&proxy, to).await?);
        }
        let found = self.connector.within_time(self.find(to)).await;
        let addresses = self.only_allowed(host_of(to), found.map_err(no_host)?)?;
        let straight = async {
            let stream = self.dial(&addresses).await?;
            self.connector.secure(Box::new(stream), to).await
        };
        let straight = self.connector.within_time(straight).await;
        Ok(straight.map_err(no_host)?)
    }

    /// TLS on a connection that is open, as after STARTTLS. The scheme is `smtps`.
    pub async fn secure(
        &self,
        wire: Box<dyn Wire>,
        to: &Uri,
    ) -> Result<Box<dyn Wire>, NoConnection> {
        let secured = self.connector.within_time(self.connector.secure(wire, to));
        Ok(secured.await.map_err(no_host)?)
    }

    async fn find(&self, to: &Uri) -> Result<Vec<SocketAddr>, Blocked> {
        let port = to.port_u16().unwrap_or(443);
        let unresolved = |why: &dyn std::fmt::Display| Blocked {
            by: Hindrance::Name,
            explanation: shown(why),
        };
        let found = (self.resolve)(host_of(to).to_owned(), port).await;
        let found = found.map_err(|error| unresolved(&error))?;
        match found.is_empty() {
            true => Err(unresolved(&"the name has no address")),
            false => Ok(found),
        }
    }

    /// The addresses that are allowed. If there is none, the error is about the first one.
    fn only_allowed(
        &self,
        host: &str,
        found: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, NotAllowed> {
        let mut refusal = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.allowed.permit(host, address.ip()) {
                Ok(()) => allowed.push(address),
                Err(refused) => refusal = refusal.or(Some(refused)),
            }
        }
        match refusal {
            Some(refusal) if allowed.is_empty() => Err(refusal),
            _ => Ok(allowed),
        }
    }

    /// Connects to the first address that answers. Each gets its part of the time.
    async fn dial(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Blocked> {
        let tried = &addresses[..addresses.len().min(MOST_ADDRESSES)];
        let share = self.timeout / u32::try_from(tried.len().max(1)).unwrap_or(1);
        let mut last = None;
        for address in tried {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).ok();
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(error),
                Err(_) => {}
            }
        }
        Err(match last {
            Some(error) => Blocked {
                by: match error.kind() {
                    io::ErrorKind::ConnectionRefused => Hindrance::Refused,
                    _ => Hindrance::Other,
                },
                explanation: shown(error),
            },
            None => self.connector.too_late(),
        })
    }
}

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<Box<dyn Wire>>;
    type Error = NoConnection;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let own = self.clone();
        Box::pin(async move { own.connect(&to).await.map(TokioIo::new) })
    }
}

fn no_host(blocked: Blocked) -> Unconnected {
    blocked.on_the_way(Unreached::Host)
}

#[cfg(test)]
mod tests;
