//! What the operator finds in a cluster: a control plane with both charts, which come from a registry
//! as the image does, its ServiceAccount, and a simulated 1Password.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use k8s_openapi::api::apps::v1::Deployment;
use keyloan_artifact::VERSION;
use keyloan_cluster::{
    Chart, ControlPlane, Helm, INTEGRATION_NAMESPACE, OPERATOR_NAMESPACE, Options, Registry,
    apply_yaml, free_address,
};
use keyloan_simulator::{Account, Control, Simulator};
use kube::{Api, Client};
use oci_spec::image::ImageConfiguration;
use serde_json::{Value, json};

use super::pod::Pod;
use crate::layout::Layout;

/// The namespace of integrations and flows.
pub const PLATFORM: &str = INTEGRATION_NAMESPACE;
/// The namespace of requests.
pub const TEAM: &str = "team-a";
/// The image's name in the registry.
const IMAGE: &str = "keyloan/keyloan";
/// The service account in the simulated 1Password.
const SERVICE_ACCOUNT: &str = "lender";

/// The namespaces of the platform team and of an engineering team, and the engineers' right to ask.
const NAMESPACES: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: keyloan}
---
apiVersion: v1
kind: Namespace
metadata: {name: team-a}
";
const RIGHT: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: engineers-ask, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-requester}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: engineering}]
";

/// All that runs besides the operator.
pub struct Site {
    /// The administrator of the cluster.
    pub admin: Client,
    /// An engineer.
    pub alice: Client,
    /// Controls the simulated 1Password.
    pub control: Control,
    registry: Registry,
    cluster: ControlPlane,
    _simulator: Simulator,
}

impl Site {
    /// Starts everything, and installs both charts from the registry.
    pub async fn prepare() -> Result<Self> {
        let account = Account::parse(include_str!("../../../simulator/account.example.yaml"))?;
        let simulator = Simulator::start(account, keyloan_simulator::Options::default())?;
        let control = simulator.control();
        let helm = Helm::find().await?;
        let cluster = ControlPlane::start(Options::default()).await?;
        let registry = Registry::start(&cluster.dir().join("registry")).await?;
        let admin = cluster.client("admin").await?;
        apply_yaml(&admin, NAMESPACES).await?;
        let packages = cluster.dir().join("charts");
        for chart in [Chart::Crds, Chart::Operator] {
            let [checkout, folder] =
                [&chart.folder(), &packages].map(|of| of.display().to_string());
            helm.run(&["package", &checkout, "--destination", &folder])
                .await?;
        }
        let values = json!({
            "image": { "repository": format!("{}/{IMAGE}", registry.address()) },
            "allowOrigins": [control.origin()],
        });
        for (chart, values) in [(Chart::Crds, json!({})), (Chart::Operator, values)] {
            let package = packages.join(format!("{}-{VERSION}.tgz", chart.name()));
            cluster
                .install_published(&helm, &registry, (chart, &package), &values)
                .await?;
        }
        apply_yaml(&admin, RIGHT).await?;
        Ok(Self {
            alice: cluster.client("alice").await?,
            admin,
            control,
            registry,
            cluster,
            _simulator: simulator,
        })
    }

    /// Pushes the image to the registry, and pulls it from there by its digest, as the OCI layout in
    /// a folder.
    pub async fn move_image(&self, layout: &Layout) -> Result<PathBuf> {
        let [ours, pulled] = ["ours", "pulled"].map(|name| self.cluster.dir().join(name));
        layout.write(&ours)?;
        let tagged = format!("{IMAGE}:{VERSION}");
        let pushed = self.registry.push(&ours, &tagged).await?;
        ensure!(
            pushed.ends_with(&layout.digest),
            "the registry has {pushed}, but the image is {}",
            layout.digest
        );
        self.registry.pull(&pushed, &pulled).await?;
        Ok(pulled)
    }

    /// The pod of the chart, for an image.
    pub async fn pod(&self, image: &ImageConfiguration) -> Result<Pod> {
        let deployments = Api::<Deployment>::namespaced(self.admin.clone(), OPERATOR_NAMESPACE);
        let deployment = deployments.get("keyloan").await?;
        let kubeconfig = self.cluster.operator_kubeconfig().await?;
        let access: Value = serde_json::from_slice(&fs::read(kubeconfig)?)?;
        let cluster = &access["clusters"][0]["cluster"];
        let server = cluster["server"].as_str().unwrap_or_default();
        let address = server.trim_start_matches("https://").rsplit_once(':');
        let address = address.with_context(|| format!("`{server}` has no port"))?;
        let folder = self.cluster.dir().join("serviceaccount");
        write_service_account(&folder, &access)?;
        let ports = [free_address()?, free_address()?];
        Pod::of(&deployment, image, folder, address, ports)
    }

    /// A token of the service account in 1Password.
    pub async fn token(&self) -> Result<String> {
        Ok(self.control.token(SERVICE_ACCOUNT).await?)
    }

    /// Stops everything.
    pub async fn strike(self) {
        self.cluster.shutdown().await;
    }
}

/// The files that a kubelet mounts into a pod for its ServiceAccount.
fn write_service_account(folder: &Path, access: &Value) -> Result<()> {
    let ca = &access["clusters"][0]["cluster"]["certificate-authority-data"];
    let ca = BASE64.decode(ca.as_str().unwrap_or_default().as_bytes())?;
    let token = access["users"][0]["user"]["token"].as_str();
    let token = token.context("the operator's kubeconfig has no token")?;
    let files: [(&str, &[u8]); 3] = [
        ("ca.crt", &ca),
        ("token", token.as_bytes()),
        ("namespace", OPERATOR_NAMESPACE.as_bytes()),
    ];
    fs::create_dir_all(folder)?;
    for (name, content) in files {
        let path: PathBuf = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
