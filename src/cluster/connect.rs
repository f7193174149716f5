//! Connecting to the API server: with a kubeconfig, or from within the cluster.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::proxy;

/// Making a connection takes no longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// By what name the API server's logs know the operator.
const USER_AGENT: &str = concat!("keyloan/", env!("CARGO_PKG_VERSION"));

/// How to reach the API server.
#[derive(Clone, Debug, Default)]
pub enum KubeAccess {
    /// As `KUBECONFIG` or `~/.kube/config` says, else as the pod's own ServiceAccount.
    #[default]
    Infer,
    /// As this file says.
    Kubeconfig(PathBuf),
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file is not usable.
    #[error("cannot use the kubeconfig {path}: {error}", path = path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: kube::config::KubeconfigError,
    },
    /// The context is not usable.
    #[error(
        "cannot use the context {context:?}: {error}; `kubectl config get-contexts` lists yours"
    )]
    Context {
        /// The context.
        context: String,
        /// What is wrong with it.
        error: kube::config::KubeconfigError,
    },
    /// Neither a kubeconfig nor a pod's ServiceAccount.
    #[error(
        "found neither a kubeconfig nor a pod's ServiceAccount: set KUBECONFIG or pass --kubeconfig ({0})"
    )]
    Infer(kube::config::InferConfigError),
    /// The configuration makes no client.
    #[error("cannot make a client of the Kubernetes API: {0}")]
    Client(kube::Error),
}

/// Installs the one TLS provider of the process, before anything connects. Doing it again changes nothing.
pub fn install_tls() {
    // An error says that there is a provider already.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
}

/// Makes the operator's client: each controller has a back-off of its own.
pub async fn connect(access: &KubeAccess) -> Result<Client, ConnectError> {
    let config = match access {
        KubeAccess::Infer => {
            let mut config = Config::infer().await.map_err(ConnectError::Infer)?;
            // From within the cluster there is none.
            if config.proxy_url.is_some() {
                config.proxy_url = proxy::of(&config);
            }
            config
        }
        KubeAccess::Kubeconfig(path) => {
            let failed = |error| ConnectError::Kubeconfig {
                path: path.clone(),
                error,
            };
            let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
            let options = KubeConfigOptions::default();
            let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(failed)?;
            config.proxy_url = proxy::of(&config);
            config
        }
    };
    client(config, USER_AGENT)
}

/// Makes a client that the API server's logs know by this name. Its calls are not retried behind our back.
pub(super) fn client(mut config: Config, user_agent: &str) -> Result<Client, ConnectError> {
    if let (Ok(name), Ok(value)) = ("user-agent".parse(), user_agent.parse()) {
        config.headers.push((name, value));
    }
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Client::try_from(config).map_err(ConnectError::Client)
}
