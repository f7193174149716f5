//! Connects to the API server: with a kubeconfig, or from within the cluster.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::{self, connect::HttpConnector, connect::proxy::SocksV5};
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use percent_encoding::percent_decode_str;
use tower::retry::RetryLayer;

use super::errors::sign_in_failed;
use super::kubeconfig::{self, KubeconfigProblem, Overrides, UnusableKubeconfig};
use super::streams::WATCHED_FOR;

/// The timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The client gives up a connection that owes a response and has sent nothing for this long:
/// without that, nothing would notice a dead API server while a list, or the start of a watch, is
/// pending. A watch without events is silent until the API server ends it; 5 s later kube's own
/// guard gives it up. That has to happen first.
const SILENT_FOR: Duration = Duration::from_secs(WATCHED_FOR as u64 + 10);

/// The operator's name in the API server's logs.
const USER_AGENT: &str = concat!("keyloan/", env!("CARGO_PKG_VERSION"));

/// How to reach the API server.
#[derive(Clone, Debug, Default)]
pub enum KubeAccess {
    /// With `KUBECONFIG` or `~/.kube/config`, or else as the pod's own ServiceAccount.
    #[default]
    Infer,
    /// With this file.
    Kubeconfig(PathBuf),
}

/// Why a client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file is not usable.
    #[error(transparent)]
    Kubeconfig(#[from] UnusableKubeconfig),
    /// The context is not usable.
    #[error(
        "cannot use the context {context:?}: {error}; `kubectl config get-contexts` lists yours"
    )]
    Context {
        /// The context.
        context: String,
        /// What is wrong with it.
        error: KubeconfigProblem,
    },
    /// The flags contradict each other.
    #[error("{0}")]
    Flags(&'static str),
    /// The flags name no usable cluster.
    #[error("cannot use the cluster that the flags name: {0}")]
    Said(KubeconfigProblem),
    /// There is neither a kubeconfig nor a pod's ServiceAccount.
    #[error(
        "found neither a kubeconfig nor a pod's ServiceAccount: set KUBECONFIG or pass --kubeconfig ({0})"
    )]
    Infer(kube::config::InClusterError),
    /// Signing in failed.
    #[error("you are not signed in to the cluster: {0}")]
    SignIn(String),
    /// The configuration is not usable.
    #[error("cannot create a Kubernetes client: {0}")]
    Client(kube::Error),
}

/// Installs the process's TLS provider. Call it before anything connects; further calls change
/// nothing.
pub fn install_tls() {
    // An error means that a provider is already installed.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
}

/// Creates the operator's client. It retries calls that an overloaded API server turns away, when
/// the API server says, within the call's timeout.
pub async fn connect(access: &KubeAccess) -> Result<Client, ConnectError> {
    let named = match access {
        KubeAccess::Infer => None,
        KubeAccess::Kubeconfig(path) => Some(path.as_path()),
    };
    let (set, home) = (env::var_os("KUBECONFIG"), env::home_dir());
    let config = match kubeconfig::files(named, set.as_deref(), home) {
        Some(files) => {
            let read = kubeconfig::read(&files)?;
            let made = kubeconfig::config(read, &Overrides::default());
            made.map_err(|error| UnusableKubeconfig::of(&files, error))?
        }
        // A pod needs no proxy to its own cluster.
        None => Config::incluster().map_err(ConnectError::Infer)?,
    };
    client(config, USER_AGENT)
}

/// Creates a client with this name in the API server's logs.
pub(super) fn client(mut config: Config, user_agent: &str) -> Result<Client, ConnectError> {
    if let (Ok(name), Ok(value)) = ("user-agent".parse(), user_agent.parse()) {
        config.headers.push((name, value));
    }
    let config = bounded(config);
    let made = match socks_credentials(&config) {
        Some(credentials) => through_socks(&config, credentials),
        None => Client::try_from(config),
    };
    made.map_err(|error| match error {
        kube::Error::Auth(error) => ConnectError::SignIn(sign_in_failed(&error)),
        other => ConnectError::Client(other),
    })
}

/// The name and password for a SOCKS proxy, if it has any.
fn socks_credentials(config: &Config) -> Option<(String, String)> {
    let proxy = config.proxy_url.as_ref()?;
    let (userinfo, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let (name, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    (proxy.scheme_str() == Some("socks5")).then(|| (decoded(name), decoded(password)))
}

/// Creates the client that kube (5.0) would, with the credentials, which kube does not pass to a
/// SOCKS proxy.
fn through_socks(config: &Config, (name, password): (String, String)) -> kube::Result<Client> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    let proxy = config.proxy_url.clone().unwrap_or_default();
    let connector = SocksV5::new(proxy, connector).with_auth(name, password);
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let mut connector = TimeoutConnector::new(connector);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let retry = config.default_retry.then(RetryPolicy::server_retry);
    let retry = retry.map(RetryLayer::new);
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(retry)
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build(connector));
    Ok(Client::new(service, config.default_namespace.clone()))
}

fn bounded(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(SILENT_FOR);
    // The idle time of a connection before a call does not count against that call.
    config.reset_reader_on_write = true;
    config
}

/// The same client, with a timeout for the start of each response.
pub(super) fn with_call_timeout(client: Client, timeout: Duration) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let answer = tokio::time::timeout(timeout, client.send(request));
            Ok::<_, tower::BoxError>(answer.await??)
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use kube::api::{ListParams, WatchParams};

    /// Long enough for any machine; no test waits this long.
    const AT_THE_LATEST: Duration = Duration::from_secs(60);
    const SOON: Duration = Duration::from_millis(100);

    /// An API server that accepts connections and never answers. The system accepts them for a
    /// listener that does not.
    fn silent() -> (std::net::TcpListener, Config) {
        install_tls();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let config = Config::new(address.parse().expect("an address"));
        (listener, config)
    }

    #[tokio::test]
    async fn a_list_or_a_watch_that_is_never_answered_is_given_up() {
        let (_listener, config) = silent();
        let mut config = bounded(config);
        assert_eq!(config.read_timeout, Some(SILENT_FOR));
        config.read_timeout = Some(SOON);
        let api: Api<ConfigMap> = Api::all(Client::try_from(config).expect("a client"));
        let (everything, watching) = (ListParams::default(), WatchParams::default());
        let listed = tokio::time::timeout(AT_THE_LATEST, api.list(&everything)).await;
        assert!(listed.expect("given up").is_err());
        let watched = tokio::time::timeout(AT_THE_LATEST, api.watch(&watching, "1")).await;
        assert!(watched.expect("given up").is_err());
    }

    #[tokio::test]
    async fn an_impatient_client_does_not_wait_even_that_long() {
        let (_listener, config) = silent();
        let client = with_call_timeout(client(config, "test").expect("a client"), SOON);
        let api: Api<ConfigMap> = Api::all(client);
        let read = tokio::time::timeout(AT_THE_LATEST, api.list(&ListParams::default())).await;
        assert!(read.expect("given up").is_err());
    }

    #[test]
    fn a_watch_in_which_nothing_happens_is_not_given_up() {
        let watched_for = super::super::streams::watching().timeout.expect("a bound");
        // Kube's guard, and a margin.
        let guarded_for = Duration::from_secs(watched_for.into()) + Duration::from_secs(5);
        assert!(SILENT_FOR > guarded_for);
    }
}
