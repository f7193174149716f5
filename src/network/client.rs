//! The clients for destinations outside of the cluster. When a file that the settings name has
//! changed, there is a new client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::allowed::AllowedHosts;
use super::connector::Connector;
use super::guarded::GuardedConnector;
use super::proxy::Proxies;
use super::settings::{Files, NetworkError, NetworkSettings};
use super::trust;

/// The size up to which the head of an answer is read from a host that others name, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;

/// A client that keeps connections, never anything about a caller. It follows no redirect and
/// repeats no request.
pub type HttpClient<C = Connector> = legacy::Client<C, Full<Bytes>>;

/// Clients for destinations that others than the operator's administrator name.
#[derive(Clone)]
pub struct GuardedClient {
    /// Sends requests by HTTP.
    pub http: HttpClient<GuardedConnector>,
    /// Makes connections for other protocols.
    pub connector: GuardedConnector,
}

/// The client with the present settings.
pub struct Clients<C = HttpClient> {
    settings: NetworkSettings,
    proxies: Arc<Proxies>,
    connect_timeout: Duration,
    make: Box<dyn Fn(Connector) -> C + Send + Sync>,
    present: Mutex<Present<C>>,
}

struct Present<C> {
    files: Files,
    client: C,
}

impl Clients {
    /// Checks the settings, and reads the files.
    pub fn new(
        settings: &NetworkSettings,
        connect_timeout: Duration,
    ) -> Result<Self, NetworkError> {
        let over = |connector| builder().build(connector);
        Self::with(settings, connect_timeout, Box::new(over))
    }
}

impl Clients<GuardedClient> {
    /// Checks the settings, and reads the files. Connections lead only to allowed hosts.
    pub fn guarded(
        settings: &NetworkSettings,
        allowed: AllowedHosts,
        connect_timeout: Duration,
    ) -> Result<Self, NetworkError> {
        let allowed = Arc::new(allowed);
        let make = move |connector| {
            let connector = GuardedConnector::new(connector, allowed.clone(), connect_timeout);
            GuardedClient {
                http: builder()
                    .http1_max_buf_size(LARGEST_HEAD)
                    .build(connector.clone()),
                connector,
            }
        };
        Self::with(settings, connect_timeout, Box::new(make))
    }
}

impl<C: Clone> Clients<C> {
    fn with(
        settings: &NetworkSettings,
        connect_timeout: Duration,
        make: Box<dyn Fn(Connector) -> C + Send + Sync>,
    ) -> Result<Self, NetworkError> {
        let proxies = Arc::new(settings.proxies()?);
        let files = settings.files()?;
        let connector = connector(settings, &files, proxies.clone(), connect_timeout)?;
        Ok(Self {
            settings: settings.clone(),
            proxies,
            connect_timeout,
            present: Mutex::new(Present {
                files,
                client: make(connector),
            }),
            make,
        })
    }

    /// The client, after a look at the files. If they have changed and cannot be used, the former
    /// client remains in use.
    pub fn renewed(&self) -> C {
        if let Err(error) = self.renew() {
            tracing::warn!(%error, "the previous proxy credentials and CA bundle remain in use");
        }
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.client.clone()
    }

    fn renew(&self) -> Result<(), NetworkError> {
        let files = self.settings.files()?;
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if files != present.files {
            let proxies = self.proxies.clone();
            let connector = connector(&self.settings, &files, proxies, self.connect_timeout)?;
            let client = (self.make)(connector);
            *present = Present { files, client };
            tracing::info!("the changed proxy credentials or CA bundle are in use");
        }
        Ok(())
    }
}

fn connector(
    settings: &NetworkSettings,
    files: &Files,
    proxies: Arc<Proxies>,
    connect_timeout: Duration,
) -> Result<Connector, NetworkError> {
    let tls = trust::config(settings.authorities(files)?)?;
    let credentials = settings.credentials(files)?;
    Ok(Connector::new(tls, proxies, credentials, connect_timeout))
}

fn builder() -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(1);
    builder
}
