//! A cluster in which helm has installed both charts, and the operator as a process with the arguments of its Deployment.
//!
//! No kubelet runs here: the process stands for the pod, with a token of the chart's ServiceAccount; `cargo xtask test` has built it as
//! for the image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use keyloan::cluster::KubeAccess;
use keyloan::operator::Election;
use keyloan_cluster::{
    Chart, ChartError, ControlPlane, Helm, OPERATOR_NAMESPACE, Options, apply_yaml,
    operator_program, signal,
};
use keyloan_simulator::Simulator;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::chart::mounts::mount;
use crate::world::{World, simulator};

/// Namespaces that a release may name in its values have to be there before.
const NAMESPACES: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: keyloan}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team-a}}
";

/// A cluster in which nothing is installed yet.
pub struct Site {
    pub cluster: ControlPlane,
    pub admin: Client,
    pub helm: Helm,
    simulator: Simulator,
}

impl Site {
    /// A cluster with these objects.
    pub async fn with(objects: &str) -> Self {
        let helm = Helm::find().await.unwrap();
        let options = Options {
            audit_log: true,
            ..Options::default()
        };
        let cluster = ControlPlane::start(options).await.unwrap();
        let admin = cluster.client("admin").await.unwrap();
        apply_yaml(&admin, objects).await.unwrap();
        let simulator = simulator();
        Self {
            cluster,
            admin,
            helm,
            simulator,
        }
    }

    /// A cluster with the namespaces that are named in the charts' own values, and a team's.
    pub async fn usual() -> Self {
        Self::with(NAMESPACES).await
    }

    /// Has helm install the operator's chart, with these values besides those that it needs.
    pub async fn try_to_install(&self, values: &Value) -> Result<(), ChartError> {
        let (chart, all) = (Chart::Operator, self.all(values));
        self.cluster
            .install_chart(&self.helm, chart, &chart.folder(), &all)
            .await
    }

    /// Has helm install the charts from where `source` says, and an operator runs.
    pub async fn install(self, source: fn(Chart) -> PathBuf, values: Value) -> Installed {
        let (policies, all) = (Chart::Crds.values(), self.all(&values));
        let Self {
            cluster,
            helm,
            simulator,
            ..
        } = self;
        install(&cluster, &helm, source, &policies, &all).await;
        let world = World::in_cluster(cluster, simulator).await;
        let mut installed = Installed {
            world,
            helm,
            policies,
            values: all,
            replicas: BTreeMap::new(),
            volumes: tempfile::tempdir().unwrap(),
        };
        installed.start_replica(FIRST).await;
        installed
    }

    /// These values, and those that the operator needs.
    pub fn all(&self, values: &Value) -> Value {
        all_values(&self.simulator.origin(), values)
    }
}

/// The cluster, and what runs in it.
pub struct Installed {
    pub world: World,
    helm: Helm,
    /// The values for the policies when they are installed next.
    pub policies: Value,
    values: Value,
    /// The replicas that run, by their pods' names.
    replicas: BTreeMap<String, Child>,
    /// The files of their volumes.
    volumes: TempDir,
}

/// The replica that runs where there is no other.
pub const FIRST: &str = "keyloan-0";

impl Installed {
    /// Installs the charts from where `source` says, with these values for the operator besides those that it needs.
    pub async fn from(source: fn(Chart) -> PathBuf, values: Value) -> Self {
        Site::usual().await.install(source, values).await
    }

    /// Installs the charts as they are now, over whatever is there, and replaces the operator.
    pub async fn install(&mut self) {
        self.install_charts().await;
        if self.replicas.contains_key(FIRST) {
            self.stop_replica(FIRST).await;
        }
        self.start_replica(FIRST).await;
    }

    /// Installs the charts alone.
    pub async fn install_charts(&self) {
        let cluster = &self.world.cluster;
        let source = |chart: Chart| chart.folder();
        install(cluster, &self.helm, source, &self.policies, &self.values).await;
    }

    /// Upgrades the operator to these values, besides those that it needs.
    pub async fn upgrade_operator(&mut self, values: &Value) {
        let upgraded = self.try_to_upgrade(values).await;
        upgraded.unwrap_or_else(|error| panic!("{error}"));
        self.values = all_values(self.world.control.origin(), values);
        self.stop_replica(FIRST).await;
        self.start_replica(FIRST).await;
    }

    /// Has helm upgrade the operator's chart to these values, and leaves the operator as it runs.
    pub async fn try_to_upgrade(&self, values: &Value) -> Result<(), ChartError> {
        let all = all_values(self.world.control.origin(), values);
        let (chart, folder) = (Chart::Operator, Chart::Operator.folder());
        let cluster = &self.world.cluster;
        cluster
            .install_chart(&self.helm, chart, &folder, &all)
            .await
    }

    /// Takes both charts away, the operator first; returns what helm says.
    pub async fn uninstall(&mut self) -> String {
        self.stop_replica(FIRST).await;
        let mut said = String::new();
        for chart in [Chart::Operator, Chart::Crds] {
            let uninstalled = self.world.cluster.uninstall_chart(&self.helm, chart);
            said += &uninstalled.await.unwrap();
        }
        said
    }

    /// Starts one more replica.
    pub async fn start_replica(&mut self, name: &str) {
        let operator = self.replica(name).await.spawn();
        self.replicas.insert(name.into(), operator.unwrap());
    }

    /// Starts one that cannot run; returns what it says.
    pub async fn start_in_vain(&mut self) -> String {
        let ends = self.replica(FIRST).await.output();
        let ended = tokio::time::timeout(Duration::from_secs(60), ends).await;
        let ended = ended.expect("it ends").unwrap();
        assert!(!ended.status.success(), "{ended:?}");
        String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap()
    }

    /// The operator's program, with the arguments of its Deployment.
    async fn replica(&mut self, name: &str) -> Command {
        self.give_token().await;
        let deployments: Api<Deployment> =
            Api::namespaced(self.world.admin.clone(), OPERATOR_NAMESPACE);
        let listed = deployments.list(&ListParams::default()).await.unwrap();
        let [deployment] = <[Deployment; 1]>::try_from(listed.items).expect("one");
        let pod = deployment.spec.unwrap().template.spec.unwrap();
        let of_the_image = |argument: &String| {
            ["--core=", "--listen=", "--listen-metrics="]
                .iter()
                .any(|flag| argument.starts_with(flag))
        };
        let mut arguments = pod.containers[0].args.clone().unwrap();
        let whole = arguments.len();
        arguments.retain(|argument| !of_the_image(argument));
        assert_eq!(arguments.len(), whole - 3, "{arguments:?}");
        let volumes = mount(&self.world.admin, &pod, self.volumes.path()).await;
        for argument in &mut arguments {
            for (path, here) in &volumes {
                *argument = argument.replace(path, here);
            }
        }
        let here = self.world.operator_arguments();
        let ours = |argument: &&String| {
            argument.starts_with("--kubeconfig=") || argument.starts_with("--core=")
        };
        arguments.extend(here.iter().filter(ours).cloned());
        arguments.push("--listen=127.0.0.1:0".into());
        let program = operator_program(env!("CARGO_BIN_EXE_keyloan"));
        let mut operator = Command::new(program.unwrap_or_else(|error| panic!("{error}")));
        operator
            .args(arguments)
            .env_clear()
            .env("HOSTNAME", name)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        operator
    }

    /// Stops a replica as a kubelet would.
    pub async fn stop_replica(&mut self, name: &str) {
        let mut operator = self.replicas.remove(name).expect("it runs");
        signal(operator.id().expect("it runs"), "TERM").unwrap();
        assert!(operator.wait().await.unwrap().success());
    }

    /// Starts a replica within this process, whose clock the test moves.
    pub async fn start_replica_here(&mut self, name: &str) {
        let served = self.values["integrationNamespaces"].as_array();
        let served = served.into_iter().flatten().filter_map(|n| n.as_str());
        let served: BTreeSet<String> = served.map(Into::into).collect();
        let settings = &mut self.world.settings;
        // As the chart calls it, or the namespace of links would not be this one's.
        settings.install.name = format!("{OPERATOR_NAMESPACE}.keyloan");
        if !served.is_empty() {
            settings.install.integration_namespaces = served;
        }
        settings.election = Some(Election {
            namespace: OPERATOR_NAMESPACE.into(),
            lease: "keyloan".into(),
            identity: name.into(),
        });
        self.give_token().await;
        self.world.restart_operator().await;
    }

    /// As every pod has: the token of before dies with its ServiceAccount, a moment after helm has uninstalled that.
    async fn give_token(&mut self) {
        let kubeconfig = self.world.cluster.operator_kubeconfig().await;
        self.world.settings.kube = KubeAccess::Kubeconfig(kubeconfig.unwrap());
    }
}

/// The values for the operator: these, and those that it needs.
fn all_values(origin: &str, values: &Value) -> Value {
    let mut all = Chart::Operator.values();
    all["allowOrigins"] = json!([origin]);
    let more = values.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(more);
    all
}

async fn install(
    cluster: &ControlPlane,
    helm: &Helm,
    source: fn(Chart) -> PathBuf,
    policies: &Value,
    values: &Value,
) {
    for (chart, values) in [(Chart::Crds, policies), (Chart::Operator, values)] {
        let source = source(chart);
        let installed = cluster.install_chart(helm, chart, &source, values);
        installed.await.unwrap_or_else(|error| panic!("{error}"));
    }
}
