//! Makes one connection to a destination: straight, or by a tunnel through a proxy, with TLS from
//! end to end. If there is none, the error says which step failed.
//!
//! A proxy is asked for tunnels only (`CONNECT`), so it sees the name of the destination and nothing
//! of the requests. The tunnels of reqwest (0.13) and hyper-util (0.1) do not tell the status with
//! which a proxy refuses one, by which people recognize what to mend.

use std::fmt;
use std::future::Future;
use std::io;
use std::iter;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower::Service;

use super::proxy::{Kinds, Proxies};
use super::trust;

/// The length up to which an explanation is kept: some of it comes from the other side.
const LONGEST: usize = 300;

/// The interval of probes that keep an idle connection alive, or notice that it is dead.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Why no connection to a destination could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreached {
    /// The destination is out of reach.
    Host(Hindrance),
    /// The proxy is out of reach.
    Proxy(Hindrance),
    /// 407: the proxy requires a user and a password, or does not accept those that it was given.
    ProxyCredentials {
        /// Whether it was given any.
        given: bool,
    },
    /// 403: the proxy's rules forbid the destination.
    ProxyForbids,
    /// The proxy answered with another status, such as 502: it cannot reach the destination.
    ProxyFails(u16),
    /// The settings name a proxy that cannot be used.
    ProxyUnusable,
}

/// An obstacle on the way to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hindrance {
    /// The host's name cannot be resolved.
    Name,
    /// Nothing listens there, or something in between refuses.
    Refused,
    /// There was no answer in time.
    TimedOut,
    /// The certificate is signed by an authority that is not known.
    UnknownAuthority,
    /// The certificate is not valid for another reason.
    InvalidCertificate,
    /// Another reason.
    Other,
}

/// No connection, with an explanation for people: it names the proxy by host and port only.
#[derive(Debug, thiserror::Error)]
#[error("{explanation}")]
pub struct Unconnected {
    /// The reason.
    pub why: Unreached,
    explanation: String,
}

/// Makes connections.
#[derive(Clone)]
pub struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
    /// The same without the name of a protocol, for destinations that do not speak HTTP.
    plain_tls: TlsConnector,
    proxies: Arc<Proxies>,
    /// For the proxies whose URLs have no user.
    credentials: Option<HeaderValue>,
    timeout: Duration,
}

/// A connection's two directions.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Connection for Box<dyn Wire> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// A step towards a host failed.
pub(super) struct Blocked {
    pub(super) by: Hindrance,
    pub(super) explanation: String,
}

impl Blocked {
    /// The error, if this was a step towards such a host.
    pub(super) fn on_the_way(self, to: fn(Hindrance) -> Unreached) -> Unconnected {
        Unconnected {
            why: to(self.by),
            explanation: self.explanation,
        }
    }
}

impl Unconnected {
    fn via(mut self, proxy: &Uri) -> Self {
        self.explanation += &format!(", via proxy {}", host_and_port(proxy));
        self
    }
}

impl Connector {
    /// `timeout` bounds the connection to a destination, and the one to a proxy.
    pub(super) fn new(
        tls: ClientConfig,
        proxies: Arc<Proxies>,
        credentials: Option<HeaderValue>,
        timeout: Duration,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        let mut plain_tls = tls.clone();
        plain_tls.alpn_protocols.clear();
        Self {
            tcp,
            tls: Arc::new(tls).into(),
            plain_tls: Arc::new(plain_tls).into(),
            proxies,
            credentials,
            timeout,
        }
    }

    async fn connect(self, to: Uri) -> Result<TokioIo<Box<dyn Wire>>, Unconnected> {
        let wire = match &self.proxy_to(&to)? {
            Some(proxy) => self.through(proxy, &to).await,
            None => {
                let straight = self.within_time(self.reach(&to)).await;
                straight.map_err(|blocked| blocked.on_the_way(Unreached::Host))
            }
        };
        wire.map(TokioIo::new)
    }

    /// The proxy that leads to a destination.
    pub(super) fn proxy_to(&self, to: &Uri) -> Result<Option<Uri>, Unconnected> {
        let proxy = self.proxies.to(to, Kinds::Http);
        proxy.map_err(|error| Unconnected {
            why: Unreached::ProxyUnusable,
            explanation: error.to_string(),
        })
    }

    /// A connection by a tunnel through this proxy.
    pub(super) async fn through(
        &self,
        proxy: &Uri,
        to: &Uri,
    ) -> Result<Box<dyn Wire>, Unconnected> {
        let tunneled = self.tunneled(proxy, to).await;
        tunneled.map_err(|error| error.via(proxy))
    }

    async fn tunneled(&self, proxy: &Uri, to: &Uri) -> Result<Box<dyn Wire>, Unconnected> {
        let wire = self.within_time(self.reach(proxy)).await;
        let wire = wire.map_err(|blocked| blocked.on_the_way(Unreached::Proxy))?;
        let credentials = of_url(proxy).or_else(|| self.credentials.clone());
        let beyond = async {
            let wire = tunnel(wire, to, credentials).await?;
            let secured = self.secure(wire, to).await;
            secured.map_err(|blocked| blocked.on_the_way(Unreached::Host))
        };
        let beyond = tokio::time::timeout(self.timeout, beyond).await;
        beyond.unwrap_or_else(|_| Err(self.too_late().on_the_way(Unreached::Host)))
    }

    /// A connection to a host, by TLS if its scheme says so.
    async fn reach(&self, host: &Uri) -> Result<Box<dyn Wire>, Blocked> {
        let opened = self.tcp.clone().call(host.clone()).await;
        let opened = opened.map_err(|error| Blocked {
            by: hindrance(&error),
            explanation: innermost(&error),
        })?;
        self.secure(Box::new(opened.into_inner()), host).await
    }

    /// TLS on a connection, if the scheme of the host's URL says so.
    pub(super) async fn secure(
        &self,
        wire: Box<dyn Wire>,
        host: &Uri,
    ) -> Result<Box<dyn Wire>, Blocked> {
        let tls = match host.scheme_str() {
            Some("https") => &self.tls,
            Some("smtps") => &self.plain_tls,
            _ => return Ok(wire),
        };
        let name = ServerName::try_from(host_of(host).to_owned());
        let name = name.map_err(|error| Blocked {
            by: Hindrance::Other,
            explanation: error.to_string(),
        })?;
        match tls.connect(name, wire).await {
            Ok(secured) => Ok(Box::new(secured)),
            Err(error) => Err(insecure(&error)),
        }
    }

    pub(super) async fn within_time<T>(
        &self,
        step: impl Future<Output = Result<T, Blocked>>,
    ) -> Result<T, Blocked> {
        let done = tokio::time::timeout(self.timeout, step).await;
        done.unwrap_or_else(|_| Err(self.too_late()))
    }

    pub(super) fn too_late(&self) -> Blocked {
        Blocked {
            by: Hindrance::TimedOut,
            explanation: format!("no answer within {} s", self.timeout.as_secs()),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Wire>>;
    type Error = Unconnected;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

/// Has a proxy connect to a host, and returns that connection.
async fn tunnel(
    wire: Box<dyn Wire>,
    to: &Uri,
    credentials: Option<HeaderValue>,
) -> Result<Box<dyn Wire>, Unconnected> {
    let given = credentials.is_some();
    let handshake = http1::handshake(TokioIo::new(wire)).await;
    let (mut proxy, connection) = handshake.map_err(|error| no_proxy(&error))?;
    let answered = async {
        let answer = proxy.send_request(request(to, credentials)).await;
        let answer = answer.map_err(|error| no_proxy(&error))?;
        if !answer.status().is_success() {
            return Err(refused(answer.status(), given, to));
        }
        let upgraded = hyper::upgrade::on(answer).await;
        upgraded.map_err(|error| no_proxy(&error))
    };
    let (mut answered, connection) = (pin!(answered), pin!(connection.with_upgrades()));
    let upgraded = tokio::select! {
        done = &mut answered => done?,
        // The connection is over, or has become the tunnel.
        _ = connection => answered.await?,
    };
    Ok(Box::new(TokioIo::new(upgraded)))
}

/// The proxy broke off the connection, or its answer is not HTTP.
fn no_proxy(error: &hyper::Error) -> Unconnected {
    Unconnected {
        why: Unreached::Proxy(Hindrance::Other),
        explanation: innermost(error),
    }
}

/// The proxy answered with this status that it makes no tunnel.
fn refused(status: StatusCode, given: bool, to: &Uri) -> Unconnected {
    Unconnected {
        why: match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Unreached::ProxyCredentials { given },
            StatusCode::FORBIDDEN => Unreached::ProxyForbids,
            other => Unreached::ProxyFails(other.as_u16()),
        },
        explanation: format!("to {}", host_and_port(to)),
    }
}

fn request(to: &Uri, credentials: Option<HeaderValue>) -> Request<Empty<Bytes>> {
    let host = host_and_port(to);
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    if let Ok(host) = host.parse::<Authority>() {
        *request.uri_mut() = host.into();
    }
    if let Ok(host) = HeaderValue::from_str(&host) {
        request.headers_mut().insert(header::HOST, host);
    }
    if let Some(credentials) = credentials {
        let headers = request.headers_mut();
        headers.insert(header::PROXY_AUTHORIZATION, credentials);
    }
    request
}

/// The header by which a proxy knows this user.
pub(super) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The user and the password in a proxy's URL.
fn of_url(proxy: &Uri) -> Option<HeaderValue> {
    let (userinfo, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    basic(&decoded(user), &decoded(password))
}

pub(super) fn host_of(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']')
}

/// A URL's host and port, without a user.
fn host_and_port(uri: &Uri) -> String {
    let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    });
    format!("{}:{port}", uri.host().unwrap_or_default())
}

/// Why TLS failed.
fn insecure(error: &io::Error) -> Blocked {
    match trust::refusal(error) {
        Some(refusal) => Blocked {
            by: match refusal.has_unknown_authority {
                true => Hindrance::UnknownAuthority,
                false => Hindrance::InvalidCertificate,
            },
            explanation: shown(refusal),
        },
        None => Blocked {
            by: Hindrance::Other,
            explanation: shown(error),
        },
    }
}

/// Why there is no connection by TCP.
fn hindrance(error: &(dyn std::error::Error + 'static)) -> Hindrance {
    let is_refused = |error: &(dyn std::error::Error + 'static)| {
        let error: Option<&io::Error> = error.downcast_ref();
        error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if causes(error).any(is_refused) {
        Hindrance::Refused
    } else if causes(error).any(|error| error.to_string().contains("dns error")) {
        Hindrance::Name
    } else {
        Hindrance::Other
    }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    iter::successors(Some(error), |error| (*error).source())
}

/// The innermost error says what happened, without an address and path.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).last().map(shown).unwrap_or_default()
}

pub(super) fn shown(error: impl fmt::Display) -> String {
    let error = error.to_string();
    let error = error.chars().filter(|c| !c.is_control()).take(LONGEST);
    error.collect()
}

#[cfg(test)]
mod tests;
