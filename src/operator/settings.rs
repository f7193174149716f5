//! What an operator can be told when it is started.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cluster::{Install, KubeAccess};
use crate::manifests::Releases;
use crate::onepassword::AllowedOrigins;
use crate::onepassword::core::CoreOptions;
use crate::runtime::Clock;

/// All settings of one operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach the API server.
    pub kube: KubeAccess,
    /// The compiled SDK core.
    pub core: PathBuf,
    /// The bounds that each account at 1Password is held to.
    pub core_options: CoreOptions,
    /// Where tokens may lead besides 1Password's own domains.
    pub allowed_origins: AllowedOrigins,
    /// Where health is served; nowhere without.
    pub listen: Option<SocketAddr>,
    /// Where metrics are served; nowhere without.
    pub listen_metrics: Option<SocketAddr>,
    /// Where the operator may touch Secrets, and as whose.
    pub install: Install,
    /// How one of several replicas becomes the leader; without, this one is.
    pub election: Option<Election>,
    /// The time.
    pub clock: Clock,
    /// The admission policies that count as in force; those of this release without.
    pub policies: Option<Releases>,
}

/// A lease that the leader holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The lease's namespace: the operator's own.
    pub namespace: String,
    /// The lease's name.
    pub lease: String,
    /// This replica's name: the pod's.
    pub identity: String,
}

impl Settings {
    /// The usual ones, with this compiled core.
    pub fn new(core: impl Into<PathBuf>) -> Self {
        Self {
            kube: KubeAccess::default(),
            core: core.into(),
            core_options: CoreOptions::default(),
            allowed_origins: AllowedOrigins::default(),
            listen: None,
            listen_metrics: None,
            install: Install::default(),
            election: None,
            clock: Clock::system(),
            policies: None,
        }
    }
}
