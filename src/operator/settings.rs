//! The settings of an operator.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cluster::{Install, KubeAccess};
use crate::manifests::Releases;
use crate::network::AllowedHosts;
use crate::onepassword::AllowedOrigins;
use crate::onepassword::core::CoreOptions;
use crate::runtime::Clock;
use crate::telemetry::Audit;

/// All settings of one operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach the API server.
    pub kube: KubeAccess,
    /// The compiled SDK core.
    pub core: PathBuf,
    /// The bounds for each 1Password account.
    pub core_options: CoreOptions,
    /// The origins that tokens may point to besides 1Password's own domains.
    pub allowed_origins: AllowedOrigins,
    /// The address for health; by default, health is not served.
    pub listen: Option<SocketAddr>,
    /// The address for metrics; by default, metrics are not served.
    pub listen_metrics: Option<SocketAddr>,
    /// Where the operator may touch Secrets, and for which install.
    pub install: Install,
    /// How a replica becomes the leader; by default, this one leads.
    pub election: Option<Election>,
    /// The time.
    pub clock: Clock,
    /// Where the audit log goes; by default, nowhere.
    pub audit: Audit,
    /// The hosts to which notices may go besides public ones.
    pub notice_hosts: AllowedHosts,
    /// The admission policies that count as in force; by default, those of this release.
    pub policies: Option<Releases>,
}

/// The leader's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The lease's namespace: the operator's own.
    pub namespace: String,
    /// The lease's name.
    pub lease: String,
    /// This replica's name: that of the pod.
    pub identity: String,
}

impl Settings {
    /// The default settings, with this compiled core.
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
            audit: Audit::default(),
            notice_hosts: AllowedHosts::default(),
            policies: None,
        }
    }
}
