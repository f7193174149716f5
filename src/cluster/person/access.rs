//! How a person gets into the cluster: the kubeconfig, context and namespace that kubectl would use, too.

use std::path::PathBuf;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::Person;
use crate::cluster::connect::{self, ConnectError};
use crate::cluster::proxy;

/// By what name the API server's logs know this program.
const USER_AGENT: &str = concat!("kubectl-keyloan/", env!("CARGO_PKG_VERSION"));

/// What a person says about where to go; each has kubectl's default.
#[derive(Clone, Debug, Default)]
pub struct PersonAccess {
    /// The kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it.
    pub context: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
}

impl Person {
    /// Makes a client for a person; nothing is asked of the API server yet.
    pub async fn connect(access: &PersonAccess) -> Result<Self, ConnectError> {
        let mut config = config(access).await?;
        config.proxy_url = proxy::of(&config);
        let namespace = access.namespace.clone();
        Ok(Self {
            namespace: namespace.unwrap_or_else(|| config.default_namespace.clone()),
            client: connect::client(config, USER_AGENT)?,
        })
    }
}

async fn config(access: &PersonAccess) -> Result<Config, ConnectError> {
    let PersonAccess {
        kubeconfig,
        context,
        ..
    } = access;
    if kubeconfig.is_none() && context.is_none() {
        return Config::infer().await.map_err(ConnectError::Infer);
    }
    let failed = |error| match kubeconfig.clone() {
        Some(path) => ConnectError::Kubeconfig { path, error },
        None => ConnectError::Context {
            context: context.clone().unwrap_or_default(),
            error,
        },
    };
    let file = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let options = KubeConfigOptions {
        context: context.clone(),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(file.map_err(failed)?, &options)
        .await
        .map_err(failed)
}
