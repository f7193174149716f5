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

/// How many lines of a program's log an error shows.
const SHOWN: usize = 15;

/// How long the tokens of ServiceAccounts are good: longer than any test or demo runs.
const TOKEN_SECONDS: i64 = 30 * 24 * 3600;

/// How a control plane is started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Write who asked for what to [`ControlPlane::audit_log`], metadata only.
    pub audit_log: bool,
    /// Leave the folder, with all data and logs, behind.
    pub keep: bool,
    /// For `--feature-gates` of the API server, for example `("CoordinatedLeaderElection", true)`.
    pub feature_gates: Vec<(String, bool)>,
    /// For `--runtime-config`, for example `admissionregistration.k8s.io/v1alpha1=true`.
    pub runtime_config: Vec<String>,
    /// Where the API server asks, by a TokenReview, whom a token lets in that it does not know itself: identities with any members.
    pub token_webhook: Option<String>,
    /// YAML to apply before the controllers start.
    ///
    /// CRDs belong here: the garbage collector looks for new kinds just every 30 seconds, but knows those that it found
    /// when it started.
    pub manifests: Vec<String>,
    /// Ports to try first, for an address that is known beforehand; where one is taken, the next ones are tried, and in
    /// the end free ones are chosen.
    pub ports: Vec<Ports>,
}

/// The ports of the loopback interface that a control plane takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where etcd serves the API server.
    pub etcd: u16,
    /// Where etcd would serve other members.
    pub etcd_peer: u16,
    /// Where the API server serves everybody.
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
    /// The name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Component::Etcd => "etcd",
            Component::KubeApiserver => "kube-apiserver",
            Component::KubeControllerManager => "kube-controller-manager",
        }
    }
}

/// Why a control plane could not be started, or used.
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
    /// Something of the machine failed.
    #[error("cannot {action}: {source}")]
    Machine {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A program ended by itself.
    #[error("{name} ended when it should run; its last words:\n{log}", name = component.name())]
    Ended {
        /// Which one.
        component: Component,
        /// The end of its log.
        log: String,
    },
    /// A program runs but is not ready.
    #[error("{name}: {source}; its last words:\n{log}", name = component.name())]
    NotReady {
        /// Which one.
        component: Component,
        /// What was waited for.
        source: TimedOut,
        /// The end of its log.
        log: String,
    },
    /// The API server refused something.
    #[error("cannot {action}: {source}")]
    Kubernetes {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: Box<kube::Error>,
    },
    /// There is no such kubeconfig, or it is not understood.
    #[error("cannot sign in with {path}: {source}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: kube::config::KubeconfigError,
    },
    /// etcd could not be asked, or refused.
    #[error("cannot {action} in etcd: {why}")]
    Etcd {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        why: String,
    },
}

/// A running control plane. All of it ends when this is dropped, and also when this process is killed.
pub struct ControlPlane {
    // In the order in which they end; the folder goes last.
    controller_manager: Program,
    apiserver: Program,
    etcd: Program,
    folder: Folder,
    binaries: Binaries,
    etcd_endpoint: String,
    server: String,
    /// etcd's revision before which its history is somebody else's.
    since: i64,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready: some 3 seconds, once the programs are there.
    ///
    /// Many can run side by side.
    pub async fn start(options: Options) -> Result<ControlPlane, ClusterError> {
        start::start(&options).await
    }

    /// The kubeconfig of one of the people: alice and mallory are in engineering, bob is in platform-owners, carol and
    /// dave are in security, erin is in no group, admin may do everything.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        kubeconfig_path(self.dir(), user)
    }

    /// A client for one of the people.
    pub async fn client(&self, user: &str) -> Result<Client, ClusterError> {
        client(&self.kubeconfig(user)).await
    }

    /// The e-mail address of one of the people, which is their user name, too.
    pub fn user_email(user: &str) -> String {
        people::email(user)
    }

    /// A kubeconfig with a token of a ServiceAccount, which must exist. It is good for 30 days.
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
                action: format!("make a token for the ServiceAccount {namespace}/{name}"),
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

    /// Where etcd answers, without any sign-in, for example `http://127.0.0.1:32001`.
    pub fn etcd_endpoint(&self) -> &str {
        &self.etcd_endpoint
    }

    /// Everything that was ever stored in etcd since the start, or since this was [lent](Self::lend), as raw bytes: nothing is compacted.
    pub async fn etcd_dump(&self) -> Result<Vec<Revision>, ClusterError> {
        let dump = async { history::dump(&Etcd::at(&self.etcd_endpoint)?, self.since).await };
        dump.await.map_err(|why| ClusterError::Etcd {
            action: "read the history",
            why,
        })
    }

    /// Has an object of a custom kind be created at another time than the API server's own, which nobody can ask it for:
    /// changes it in etcd. The resource is as in `keyloan.dev/accessgrants`.
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
            action: "change the time of creation",
            why,
        })
    }

    /// The private folder of this control plane.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The audit log, one JSON object on each line; there is one if [`Options::audit_log`] is set.
    pub fn audit_log(&self) -> PathBuf {
        start::audit_log(self.dir())
    }

    /// The programs that run here, kubectl among them.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The last lines of what a program said.
    pub fn log_tail(&self, component: Component) -> String {
        self.program(component).log_tail(SHOWN)
    }

    /// A program's number in the system, for signals.
    pub fn process_id(&self, component: Component) -> u32 {
        self.program(component).id()
    }

    /// Has history and audit log begin after this revision of etcd, now.
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

    /// Ends everything and removes the folder. Dropping does the same, but blocks the thread meanwhile.
    pub async fn shutdown(self) {
        // Only a panic of the drop could make this fail, and there is nothing left to do then.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

fn kubeconfig_path(folder: &Path, user: &str) -> PathBuf {
    folder.join("kubeconfigs").join(format!("{user}.yaml"))
}

async fn client(kubeconfig: &Path) -> Result<Client, ClusterError> {
    // Whoever else installed a provider before us is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let failed = |source| ClusterError::Kubeconfig {
        path: kubeconfig.to_owned(),
        source,
    };
    let file = Kubeconfig::read_from(kubeconfig).map_err(failed)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(failed)?;
    // A proxy of the environment does not reach this machine's loopback interface.
    config.proxy_url = None;
    // For the audit log; without it kube's clients have no name.
    let name = http::HeaderValue::from_static(env!("CARGO_PKG_NAME"));
    config.headers.push((http::header::USER_AGENT, name));
    Client::try_from(config).map_err(|source| ClusterError::Kubernetes {
        action: "make a client".to_owned(),
        source: Box::new(source),
    })
}
