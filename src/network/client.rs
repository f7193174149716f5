//! The HTTP client for destinations outside of the cluster. When a file that the settings name has
//! changed, there is a new client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connector::Connector;
use super::proxy::Proxies;
use super::settings::{Files, NetworkError, NetworkSettings};
use super::trust;

/// A client that keeps connections, never anything about a caller. It follows no redirect and
/// repeats no request.
pub type HttpClient = legacy::Client<Connector, Full<Bytes>>;

/// The client with the present settings.
pub struct Clients {
    settings: NetworkSettings,
    proxies: Arc<Proxies>,
    connect_timeout: Duration,
    present: Mutex<Present>,
}

struct Present {
    files: Files,
    client: HttpClient,
}

impl Clients {
    /// Checks the settings, and reads the files.
    pub fn new(
        settings: &NetworkSettings,
        connect_timeout: Duration,
    ) -> Result<Self, NetworkError> {
        let proxies = Arc::new(settings.proxies()?);
        let files = settings.files()?;
        let client = client(settings, &files, proxies.clone(), connect_timeout)?;
        Ok(Self {
            settings: settings.clone(),
            proxies,
            connect_timeout,
            present: Mutex::new(Present { files, client }),
        })
    }

    /// The client, after a look at the files. If they have changed and cannot be used, the former
    /// client remains in use.
    pub fn renewed(&self) -> HttpClient {
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
            let client = client(&self.settings, &files, proxies, self.connect_timeout)?;
            *present = Present { files, client };
            tracing::info!("the changed proxy credentials or CA bundle are in use");
        }
        Ok(())
    }
}

fn client(
    settings: &NetworkSettings,
    files: &Files,
    proxies: Arc<Proxies>,
    connect_timeout: Duration,
) -> Result<HttpClient, NetworkError> {
    let tls = trust::config(settings.authorities(files)?)?;
    let credentials = settings.credentials(files)?;
    let connector = Connector::new(tls, proxies, credentials, connect_timeout);
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(1);
    Ok(builder.build(connector))
}
