//! What the operator needs in a cluster: its kinds and policies from `crds/`, its ServiceAccount and rights.

use std::path::{Path, PathBuf};

use crate::control_plane::{ClusterError, ControlPlane, Options};
use crate::manifests::{ManifestError, read_folder};

/// Where the operator runs; the admission policies name it.
pub const OPERATOR_NAMESPACE: &str = "keyloan";

/// The operator's ServiceAccount.
pub const OPERATOR_SERVICE_ACCOUNT: &str = "keyloan";

/// What the chart `keyloan` gives; a test of the chart compares.
const RIGHTS: &str = include_str!("../operator-rbac.yaml");

/// The folder of the CRDs and admission policies that `keyloan manifests` writes.
fn crds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds")
}

impl Options {
    /// Installs all that the operator needs, before the controllers start: `crds/`, its ServiceAccount, its rights.
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
    /// There is such a ServiceAccount if the cluster was started [with Keyloan](Options::with_keyloan), or its charts
    /// [were installed](Self::install_charts).
    pub async fn operator_kubeconfig(&self) -> Result<PathBuf, ClusterError> {
        self.service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
            .await
    }
}
