//! The project's two charts: installs them into a control plane with the real helm, as people do, and renders their rights.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::control_plane::{ClusterError, ControlPlane};
use crate::helm::{Helm, HelmError};
use crate::manifests::{self, ManifestError};
use crate::operator::{INTEGRATION_NAMESPACE, OPERATOR_NAMESPACE};
use crate::policies::{self, PolicyError};

/// The kinds that say who may do what, as whom and where.
const RIGHTS: [&str; 6] = [
    "Namespace",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
];

/// What the generated file of rights begins with.
const ORIGIN: &str = "# The rights that the chart keyloan gives, and their namespace. Written by `cargo xtask rights`; change charts/keyloan, not this file.\n";

/// Why the charts could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// Helm refused.
    #[error(transparent)]
    Helm(#[from] HelmError),
    /// The values could not be written, or there is no such person.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The chart renders something that is not a Kubernetes object, or its kinds are not served.
    #[error(transparent)]
    Manifests(#[from] ManifestError),
    /// Nobody knows whether the policies are in force.
    #[error(transparent)]
    Policies(#[from] PolicyError),
}

/// One of the charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// The kinds and admission policies.
    Crds,
    /// The operator.
    Operator,
}

impl Chart {
    /// Both, in the order in which they are installed.
    pub const ALL: [Chart; 2] = [Chart::Crds, Chart::Operator];

    /// The chart's name, which is the release's, too.
    pub fn name(self) -> &'static str {
        match self {
            Chart::Crds => "keyloan-crds",
            Chart::Operator => "keyloan",
        }
    }

    /// The chart's folder.
    pub fn folder(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../charts")
            .join(self.name())
    }

    /// Values with which the chart can be installed where nothing runs an image.
    pub fn values(self) -> Value {
        match self {
            Chart::Crds => json!({}),
            Chart::Operator => json!({ "image": { "repository": "registry.example.com/keyloan" } }),
        }
    }
}

impl ControlPlane {
    /// Installs both charts into the namespace `keyloan-system`, with the values that they need and no others, and creates the
    /// namespace of the integrations before; returns when kinds are served and policies in force.
    ///
    /// No pod runs here: start the operator as a process, with [`operator_kubeconfig`](Self::operator_kubeconfig).
    pub async fn install_charts(&self, helm: &Helm) -> Result<(), ChartError> {
        let admin = self.client("admin").await?;
        manifests::apply_yaml(&admin, &namespace(INTEGRATION_NAMESPACE)).await?;
        for chart in Chart::ALL {
            self.install_chart(helm, chart, &chart.folder(), &chart.values())
                .await?;
        }
        Ok(())
    }

    /// Installs or upgrades one chart from a folder or package; returns when what it brings is in force.
    pub async fn install_chart(
        &self,
        helm: &Helm,
        chart: Chart,
        source: &Path,
        values: &Value,
    ) -> Result<(), ChartError> {
        let file = self.dir().join(format!("{}-values.json", chart.name()));
        crate::cache::write(&file, values.to_string().as_bytes()).map_err(ClusterError::from)?;
        let (source, file) = (source.display().to_string(), file.display().to_string());
        // Without --wait: that would be for pods.
        let arguments = ["upgrade", "--install", chart.name(), &source];
        let more = ["--create-namespace", "--values", &file];
        self.helm(helm, &[&arguments[..], &more].concat()).await?;
        self.until_chart_in_force(chart).await
    }

    async fn until_chart_in_force(&self, chart: Chart) -> Result<(), ChartError> {
        match chart {
            Chart::Crds => self.until_in_force().await,
            Chart::Operator => Ok(()),
        }
    }

    /// Waits until kinds and policies that are installed are served and in force.
    pub async fn until_in_force(&self) -> Result<(), ChartError> {
        let admin = self.client("admin").await?;
        manifests::wait_until_ours_are_served(&admin).await?;
        Ok(policies::wait_until_in_force(&admin).await?)
    }

    /// Uninstalls one chart.
    pub async fn uninstall_chart(&self, helm: &Helm, chart: Chart) -> Result<String, ChartError> {
        self.helm(helm, &["uninstall", chart.name()]).await
    }

    async fn helm(&self, helm: &Helm, arguments: &[&str]) -> Result<String, ChartError> {
        let admin = self.kubeconfig("admin").display().to_string();
        let mut all = arguments.to_vec();
        all.extend(["--kubeconfig", &admin, "--namespace", OPERATOR_NAMESPACE]);
        Ok(helm.run(&all).await?)
    }
}

/// The rights that the chart gives with its own values, as a text of manifests: what `operator-rbac.yaml` holds, so
/// that tests without a chart need no helm.
pub async fn chart_rights(helm: &Helm) -> Result<String, ChartError> {
    let folder = Chart::Operator.folder().display().to_string();
    let name = Chart::Operator.name();
    let image = "image.repository=registry.example.com/keyloan";
    let arguments = ["template", name, &folder, "--set", image, "--namespace"];
    let rendered = helm
        .run(&[&arguments[..], &[OPERATOR_NAMESPACE]].concat())
        .await?;
    let mut text = format!(
        "{ORIGIN}---\n{}---\n{}",
        namespace(OPERATOR_NAMESPACE),
        namespace(INTEGRATION_NAMESPACE)
    );
    for document in rendered.split("---\n") {
        let objects = manifests::parse(document)?;
        let kinds = objects
            .iter()
            .filter_map(|object| object.types.as_ref().map(|types| types.kind.as_str()));
        if kinds.into_iter().any(|kind| RIGHTS.contains(&kind)) {
            text += &format!("---\n{}\n", document.trim_end());
        }
    }
    Ok(text)
}

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n")
}
