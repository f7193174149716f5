//! A private control plane: etcd, kube-apiserver and kube-controller-manager on free ports of the loopback interface.

mod etcd;
mod folder;
mod history;
mod keys;
mod people;
mod reuse;
mod rewind;
mod start;

use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::binaries::Binaries;
use crate::built::BinariesError;
use crate::cache::{self, CacheError};
use crate::manifests::ManifestError;
use crate::program::Program;
use crate::wait::TimedOut;
use etcd::Etcd;
use folder::Folder;
pub use history::Revision;
pub use reuse::Lent;

/// The number of lines of a program's log that an error shows.
const SHOWN: usize = 15;

/// The lifetime of ServiceAccount tokens: longer than any test or demo runs.
const TOKEN_SECONDS: i64 = 30 * 24 * 3600;

/// The options with which a control plane is started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Write all requests and their users to [`ControlPlane::audit_log`], metadata only.
    pub audit_log: bool,
    /// With the audit log, also write the objects of this resource, such as
    /// `keyloan.dev/accessrecords`, as each write left them.
    pub audit_bodies_of: Option<String>,
    /// Keep the folder, with all data and logs.
    pub keep: bool,
    /// Values for `--feature-gates` of the API server, for example
    /// `("CoordinatedLeaderElection", true)`.
    pub feature_gates: Vec<(String, bool)>,
    /// Values for `--runtime-config`, for example `admissionregistration.k8s.io/v1alpha1=true`.
    pub runtime_config: Vec<String>,
    /// Switch mutating admission policies on where the chosen Kubernetes has them only on demand, as
    /// few clusters do.
    pub mutating_policies: bool,
    /// The URL to which the API server sends a TokenReview for each token that it does not know
    /// itself. This allows users with any attributes.
    pub token_webhook: Option<String>,
    /// YAML to apply before the controllers start.
    ///
    /// CRDs belong here: the garbage collector looks for new kinds only every 30 seconds, but knows
    /// those that it found when it started.
    pub manifests: Vec<String>,
    /// Ports to try first, for an address that is known in advance. If one is taken, the next set
    /// is tried, and finally free ports are chosen.
    pub ports: Vec<Ports>,
}

/// The ports of the loopback interface that a control plane uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The port where etcd serves the API server.
    pub etcd: u16,
    /// The port where etcd would serve other members.
    pub etcd_peer: u16,
    /// The port where the API server serves its clients.
    pub apiserver: u16,
}

/// One of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The store.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// Garbage collection, namespaces and ServiceAccounts.
    KubeControllerManager,
}

impl Component {
    /// The file name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Component::Etcd => "etcd",
            Component::KubeApiserver => "kube-apiserver",
            Component::KubeControllerManager => "kube-controller-manager",
        }
    }
}

/// Why a control plane could not be started or used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There are no programs to start.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// A file could not be written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The manifests could not be applied.
    #[error(transparent)]
    Manifests(#[from] ManifestError),
    /// The operating system reported an error.
    #[error("cannot {action}: {source}")]
    Machine {
        /// The action that failed.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A program ended by itself.
    #[error("{name} has ended unexpectedly; the end of its log:\n{log}", name = component.name())]
    Ended {
        /// The program.
        component: Component,
        /// The end of its log.
        log: String,
    },
    /// A program runs but is not ready.
    #[error("{name}: {source}; the end of its log:\n{log}", name = component.name())]
    NotReady {
        /// The program.
        component: Component,
        /// The state that was not reached.
        source: TimedOut,
        /// The end of its log.
        log: String,
    },
    /// The API server rejected a request.
    #[error("cannot {action}: {source}")]
    Kubernetes {
        /// The action that failed.
        action: String,
        /// Why it failed.
        source: Box<kube::Error>,
    },
    /// The kubeconfig does not exist or cannot be parsed.
    #[error("cannot sign in with {path}: {source}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: kube::config::KubeconfigError,
    },
    /// etcd was not reachable, or rejected a request.
    #[error("cannot {action} in etcd: {why}")]
    Etcd {
        /// The action that failed.
        action: &'static str,
        /// Why it failed.
        why: String,
    },
}

/// A running control plane. All of it ends when this is dropped, and also when this process is
/// killed.
pub struct ControlPlane {
    // The fields are in the order in which they end; the folder goes last.
    controller_manager: Program,
    apiserver: Program,
    etcd: Program,
    folder: Folder,
    binaries: Binaries,
    etcd_endpoint: String,
    server: String,
    mutating_policies: bool,
    /// The etcd revision where the history of this user begins; earlier history belongs to another
    /// one.
    since: i64,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready. This takes some 3 seconds once the
    /// programs are there.
    ///
    /// Many can run side by side.
    pub async fn start(options: Options) -> Result<ControlPlane, ClusterError> {
        start::start(&options).await
    }

    /// The kubeconfig of one of the people: alice and mallory are in engineering, bob is in
    /// platform-owners, carol and dave are in security, erin is in no group, and admin may do
    /// everything.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        kubeconfig_path(self.dir(), user)
    }

    /// A client for one of the people.
    pub async fn client(&self, user: &str) -> Result<Client, ClusterError> {
        client(&self.kubeconfig(user)).await
    }

    /// The e-mail address of one of the people, which is also their username.
    pub fn user_email(user: &str) -> String {
        people::email(user)
    }

    /// A kubeconfig with a token of a ServiceAccount, which must exist. The token is valid for 30
    /// days.
    pub async fn service_account_kubeconfig(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PathBuf, ClusterError> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client("admin").await?, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let made = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await;
        let token = made
            .map_err(|source| ClusterError::Kubernetes {
                action: format!("create a token for the ServiceAccount {namespace}/{name}"),
                source: Box::new(source),
            })?
            .status
            .map(|status| status.token)
            // The API server always fills it in.
            .unwrap_or_default();
        let path = kubeconfig_path(self.dir(), &format!("{namespace}.{name}"));
        let certificate = start::certificate(self.dir())?;
        people::write_kubeconfig(&path, &self.server, &certificate, name, &token)?;
        Ok(path)
    }

    /// The address of etcd, which requires no authentication, for example `http://127.0.0.1:32001`.
    pub fn etcd_endpoint(&self) -> &str {
        &self.etcd_endpoint
    }

    /// Everything that was stored in etcd since the start, or since this control plane was
    /// [lent](Self::lend), as raw bytes: nothing is compacted.
    pub async fn etcd_dump(&self) -> Result<Vec<Revision>, ClusterError> {
        let dump = async { history::dump(&Etcd::at(&self.etcd_endpoint)?, self.since).await };
        dump.await.map_err(|why| ClusterError::Etcd {
            action: "read the history",
            why,
        })
    }

    /// Changes the creation time of an object of a custom kind. The API server sets it and accepts
    /// no other, so this changes it in etcd. The resource is as in `keyloan.dev/accessgrants`.
    pub async fn set_creation_time(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        at: &Time,
    ) -> Result<(), ClusterError> {
        let key = format!("/registry/{resource}/{namespace}/{name}");
        let set = async {
            Etcd::at(&self.etcd_endpoint)?
                .set_creation_time(&key, at)
                .await
        };
        set.await.map_err(|why| ClusterError::Etcd {
            action: "change the creation time",
            why,
        })
    }

    /// The private folder of this control plane.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The audit log, one JSON object per line; it exists if [`Options::audit_log`] is set.
    pub fn audit_log(&self) -> PathBuf {
        start::audit_log(self.dir())
    }

    /// The programs that run here, kubectl among them.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Whether the API server has mutating admission policies. Where it has none, people write
    /// themselves who asks and who decides.
    pub fn has_mutating_policies(&self) -> bool {
        self.mutating_policies
    }

    /// The last lines of a program's log.
    pub fn log_tail(&self, component: Component) -> String {
        self.program(component).log_tail(SHOWN)
    }

    /// A program's process id, for signals.
    pub fn process_id(&self, component: Component) -> u32 {
        self.program(component).id()
    }

    /// Makes the history and the audit log begin now, after this revision of etcd.
    fn forget_until(&mut self, revision: i64) -> Result<(), ClusterError> {
        self.since = revision + 1;
        let log = self.audit_log();
        match log.exists() {
            true => Ok(cache::write_over(&log, b"")?),
            false => Ok(()),
        }
    }

    fn program(&self, component: Component) -> &Program {
        match component {
            Component::Etcd => &self.etcd,
            Component::KubeApiserver => &self.apiserver,
            Component::KubeControllerManager => &self.controller_manager,
        }
    }

    /// Ends everything and removes the folder. Dropping does the same, but blocks the thread
    /// meanwhile.
    pub async fn shutdown(self) {
        // Only a panic in the drop can make this fail, and then nothing can be done.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

fn kubeconfig_path(folder: &Path, user: &str) -> PathBuf {
    folder.join("kubeconfigs").join(format!("{user}.yaml"))
}

async fn client(kubeconfig: &Path) -> Result<Client, ClusterError> {
    // If another provider was installed before, it serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let failed = |source| ClusterError::Kubeconfig {
        path: kubeconfig.to_owned(),
        source,
    };
    let file = Kubeconfig::read_from(kubeconfig).map_err(failed)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(failed)?;
    // A proxy from the environment does not reach this machine's loopback interface.
    config.proxy_url = None;
    // For the audit log; by default kube's clients send no user agent.
    let name = http::HeaderValue::from_static(env!("CARGO_PKG_NAME"));
    config.headers.push((http::header::USER_AGENT, name));
    Client::try_from(config).map_err(|source| ClusterError::Kubernetes {
        action: "make a client".to_owned(),
        source: Box::new(source),
    })
}
