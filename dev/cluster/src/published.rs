//! Charts as people get them: packages in a registry.

use std::path::Path;

use serde_json::Value;

use crate::charts::{Chart, ChartError};
use crate::control_plane::{ClusterError, ControlPlane};
use crate::helm::Helm;
use crate::operator::OPERATOR_NAMESPACE;
use crate::registry::Registry;

/// The version of the charts.
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl ControlPlane {
    /// Pushes the package of a chart to a registry, and installs the chart from there. What that
    /// installs has to be what the checkout's chart would install.
    pub async fn install_published(
        &self,
        helm: &Helm,
        registry: &Registry,
        (chart, package): (Chart, &Path),
        values: &Value,
    ) -> Result<(), ChartError> {
        let text = |path: &Path| path.display().to_string();
        let name = chart.name();
        let address = format!("oci://{}/charts", registry.address());
        let package = text(package);
        helm.run(&["push", &package, &address, "--plain-http"])
            .await?;

        let file = self.dir().join(format!("{name}-published.json"));
        crate::cache::write(&file, values.to_string().as_bytes()).map_err(ClusterError::from)?;
        let of_registry = format!("{address}/{name}");
        let (values, checkout) = (text(&file), text(&chart.folder()));
        let options = ["--namespace", OPERATOR_NAMESPACE, "--values", &values];
        let remote = [&of_registry, "--version", VERSION, "--plain-http"];
        let [from_registry, from_checkout] = [
            helm.run(&[&["template", name], &remote[..], &options].concat())
                .await?,
            helm.run(&[&["template", name, &checkout], &options[..]].concat())
                .await?,
        ];
        if from_registry != from_checkout {
            return Err(ChartError::Differs(chart));
        }
        let admin = text(&self.kubeconfig("admin"));
        let cluster = ["--create-namespace", "--kubeconfig", &admin];
        helm.run(&[&["install", name], &remote[..], &options, &cluster].concat())
            .await?;
        self.until_chart_in_force(chart).await
    }
}
