//! The operator's program, and the objects that the operator needs in a cluster: its kinds and
//! policies from `crds/`, its ServiceAccount and rights.

use std::path::{Path, PathBuf};
use std::{env, io};

use crate::control_plane::{ClusterError, ControlPlane, Options};
use crate::manifests::{ManifestError, read_folder};

/// The operator's namespace; the admission policies name it.
pub const OPERATOR_NAMESPACE: &str = "keyloan-system";

/// The namespace of integrations, flows and records, as in the chart's default values.
pub const INTEGRATION_NAMESPACE: &str = "keyloan";

/// The namespace where the operator keeps links, as in the chart's default values.
pub const LINKS_NAMESPACE: &str = "keyloan-system-links";

/// The operator's ServiceAccount.
pub const OPERATOR_SERVICE_ACCOUNT: &str = "keyloan";

/// The rights that the chart `keyloan` gives; a test of the chart compares them.
const RIGHTS: &str = include_str!("../operator-rbac.yaml");

/// The environment variable that names the operator's program for tests, such as an optimized
/// build.
const OPERATOR_PROGRAM: &str = "KEYLOAN_OPERATOR";

/// The program that tests run as the operator: the one that the environment variable
/// `KEYLOAN_OPERATOR` names, or else the one of the tests' own build. An error if the variable is
/// set and names no file.
pub fn operator_program(of_this_build: &str) -> io::Result<PathBuf> {
    let named = env::var_os(OPERATOR_PROGRAM).map(PathBuf::from);
    let program = named.unwrap_or_else(|| of_this_build.into());
    match program.is_file() {
        true => Ok(program),
        false => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "{OPERATOR_PROGRAM} names {}, which is not a file: name the operator's program, or \
                 unset the variable",
                program.display()
            ),
        )),
    }
}

/// Environment variables for an operator that is linked to glibc, as the tests' own builds are. With
/// them, glibc returns free memory to the system: one pool for all threads, and separate mappings
/// for large blocks. The image's operator is linked to musl and has another allocator.
pub const GLIBC_SETTINGS: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// The folder of the CRDs and admission policies that `keyloan manifests` writes.
fn crds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds")
}

impl Options {
    /// Installs everything that the operator needs, before the controllers start: `crds/`, its
    /// ServiceAccount, its rights.
    ///
    /// ```no_run
    /// # use keyloan_cluster::{ClusterError, ControlPlane, Options};
    /// # async fn example() -> Result<(), ClusterError> {
    /// let cluster = ControlPlane::start(Options::default().with_keyloan()?).await?;
    /// let kubeconfig = cluster.operator_kubeconfig().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_keyloan(mut self) -> Result<Options, ManifestError> {
        self.manifests.push(read_folder(&crds())?);
        self.manifests.push(RIGHTS.to_owned());
        Ok(self)
    }
}

impl ControlPlane {
    /// A kubeconfig with which a process runs as the operator, with exactly its rights.
    ///
    /// The ServiceAccount exists if the cluster was started [with Keyloan](Options::with_keyloan),
    /// or if its charts [were installed](Self::install_charts).
    pub async fn operator_kubeconfig(&self) -> Result<PathBuf, ClusterError> {
        self.service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
            .await
    }
}
