//! What tests on the real API server start from: a control plane with Keyloan's kinds, policies and rights, a simulated 1Password
//! account, and an operator under its own ServiceAccount between them.
//!
//! Nothing waits for luck: [`World::wait`] follows a watch until a condition holds, with a deadline that only a failure meets.

pub mod cluster;
pub mod log;
#[path = "../../support/looked.rs"]
pub mod looked;
pub mod objects;
#[path = "../../support/private_server.rs"]
pub mod private_server;
#[path = "../../support/private_tls.rs"]
pub mod private_tls;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{self, AccessFlow, AccessGrant, Condition, OnePasswordIntegration};
use keyloan::cluster::{KubeAccess, install_tls};
use keyloan::onepassword::{AllowedOrigins, Origin};
use keyloan::operator::{Running, Settings, start};
use keyloan::runtime::Clock;
use keyloan_cluster::{ControlPlane, Lent, Options, apply_yaml};
use keyloan_simulator::{Account, Control, Simulator};
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The namespace of integrations, flows and records.
pub const PLATFORM: &str = "keyloan";
/// A namespace from which people ask.
pub const TEAM: &str = "team-a";
/// Only a failure takes so long.
pub const DEADLINE: Duration = Duration::from_secs(90);

const NAMESPACES: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: keyloan}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team-a, labels: {team: a}}}
";

/// A cluster, an account at 1Password, and an operator between them.
pub struct World {
    /// The cluster.
    pub plane: Lent,
    /// Somebody who may do everything in the cluster.
    pub admin: Client,
    /// Steers the simulated 1Password.
    pub onepassword: Control,
    /// The operator's clock.
    pub clock: Clock,
    /// With what the operator is started: change it before [`World::start_operator`].
    pub settings: Settings,
    operator: Option<Running>,
    simulators: Vec<Simulator>,
}

impl World {
    /// With an operator that runs, and the simulator's example account.
    pub async fn new() -> Self {
        let mut world = Self::without_operator().await;
        world.start_operator().await;
        world
    }

    /// With all but an operator.
    pub async fn without_operator() -> Self {
        let options = Options {
            mutating_policies: true,
            ..Options::default()
        };
        let options = options.with_keyloan();
        let world = Self::with(options.expect("the operator's manifests")).await;
        world.until_stamped().await;
        // Whatever it shows: a test may have broken something.
        looked::look(&world.settings).await.ok();
        world
    }

    /// With neither an operator nor the kinds and policies that it needs.
    pub async fn without_kinds() -> Self {
        let rights = include_str!("../../../dev/cluster/operator-rbac.yaml");
        let manifests = vec![rights.to_owned()];
        Self::with(Options {
            manifests,
            mutating_policies: true,
            ..Options::default()
        })
        .await
    }

    /// Those kinds and policies.
    pub fn kinds() -> String {
        let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        keyloan_cluster::read_folder(&crds).expect("readable")
    }

    async fn with(mut options: Options) -> Self {
        install_tls();
        log::write();
        options.manifests.push(NAMESPACES.to_owned());
        let plane = ControlPlane::lend(options).await.expect("a control plane");
        let operator = plane.operator_kubeconfig().await;
        let simulator = simulator();
        let clock = Clock::system();
        let settings = Settings {
            kube: KubeAccess::Kubeconfig(operator.expect("a kubeconfig")),
            allowed_origins: allow(&simulator),
            clock: clock.clone(),
            listen: Some(([127, 0, 0, 1], 0).into()),
            listen_metrics: Some(([127, 0, 0, 1], 0).into()),
            ..Settings::new(compiled_core().await)
        };
        Self {
            admin: plane.client("admin").await.expect("a client"),
            plane,
            onepassword: simulator.control(),
            clock,
            settings,
            operator: None,
            simulators: vec![simulator],
        }
    }

    /// Waits until the API server can stamp requests: it learns the schemas of new kinds for that a moment after it serves them.
    async fn until_stamped(&self) {
        let spec = json!({
            "integration": {"name": "prod"}, "item": {"vault": "v", "item": "i"},
            "notAfter": "2999-01-01T00:00:00Z",
        });
        let spec = serde_json::from_value(spec).expect("a request");
        let grant = AccessGrant::new("canary", spec);
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let grants: Api<AccessGrant> = self.namespaced(TEAM);
        let stamped = async {
            while grants.create(&dry_run, &grant).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, stamped)
            .await
            .expect("requests to be stamped");
    }

    /// Starts the operator.
    pub async fn start_operator(&mut self) {
        let operator = start(self.settings.clone()).await.expect("an operator");
        self.operator = Some(operator);
    }

    /// Stops the operator and waits until it is at rest.
    pub async fn stop_operator(&mut self) {
        let operator = self.operator.take().expect("an operator that runs");
        operator
            .stop()
            .await
            .expect("an operator without a failure");
    }

    /// Where the operator serves its health.
    pub fn health(&self) -> String {
        let address = self.operator.as_ref().and_then(Running::health_address);
        format!("http://{}", address.expect("an operator that listens"))
    }

    /// The operator's metrics.
    pub async fn metrics(&self) -> String {
        let address = self.operator.as_ref().and_then(Running::metrics_address);
        let address = address.expect("an operator that listens");
        let answer = reqwest::get(format!("http://{address}/metrics")).await;
        answer.expect("an answer").text().await.expect("a text")
    }

    /// Another account at 1Password, to which tokens may lead as well. Before the operator is started.
    pub fn another_onepassword(&mut self) -> Control {
        let simulator = simulator();
        let control = simulator.control();
        self.simulators.push(simulator);
        let origins = self.simulators.iter().map(origin);
        self.settings.allowed_origins = AllowedOrigins::with(origins);
        control
    }

    /// Applies YAML as the administrator.
    pub async fn apply(&self, yaml: &str) {
        apply_yaml(&self.admin, yaml).await.expect("applied");
    }

    /// Creates, or overwrites, the token Secret of an integration, named as the integration with `-token`.
    pub async fn put_token(&self, integration: &str, token: &str) {
        let labels = json!({
            api::SECRET_LABEL: "token",
            api::INTEGRATION_LABEL: integration,
        });
        self.put_secret(&format!("{integration}-token"), &labels, "token", token)
            .await;
    }

    /// Creates, or overwrites, a Secret.
    pub async fn put_secret(&self, name: &str, labels: &Value, key: &str, value: &str) {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": labels},
            "stringData": {key: value},
        });
        let api: Api<Secret> = self.namespaced(PLATFORM);
        let parameters = PatchParams::apply("test").force();
        api.patch(name, &parameters, &Patch::Apply(&secret))
            .await
            .expect("a Secret");
    }

    /// Creates, or changes, an integration that reads the Secret named as it is with `-token`.
    pub async fn put_integration(&self, name: &str, changes: Value) {
        let mut spec = json!({
            "auth": {"serviceAccountToken": {"secretRef": {"name": format!("{name}-token")}}},
            "plan": "Business",
        });
        merge(&mut spec, changes);
        self.put::<OnePasswordIntegration>(PLATFORM, name, spec)
            .await;
    }

    /// Creates, or changes, a flow by which engineering may borrow everything in the vault Infra, approved by nobody.
    pub async fn put_flow(&self, name: &str, integration: &str, changes: Value) {
        let mut spec = json!({
            "integration": integration,
            "namespaces": {"from": "All"},
            "requesters": [{"kind": "Group", "name": "engineering"}],
            "items": {"include": [{"vault": "Infra"}]},
            "grant": {"maxDuration": "8h"},
            "approval": {"mode": "None"},
        });
        merge(&mut spec, changes);
        self.put::<AccessFlow>(PLATFORM, name, spec).await;
    }

    /// Creates, or changes, an object of ours as the administrator.
    pub async fn put<K: Resource<DynamicType = ()>>(
        &self,
        namespace: &str,
        name: &str,
        spec: Value,
    ) {
        let object = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        });
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.admin.clone(), namespace, &resource);
        let parameters = PatchParams::apply("test").force();
        api.patch(name, &parameters, &Patch::Apply(&object))
            .await
            .expect("applied");
    }

    /// An administrator's way to objects of a kind.
    pub fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.admin.clone(), namespace)
    }

    /// Deletes an object.
    pub async fn delete<K>(&self, namespace: &str, name: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let parameters = DeleteParams::background();
        self.namespaced::<K>(namespace)
            .delete(name, &parameters)
            .await
            .expect("deleted");
    }

    /// Waits until an integration's vaults have been listed again since it was seen so.
    pub async fn discovered_anew(&self, before: &OnePasswordIntegration) -> OnePasswordIntegration {
        let listed = |object: &OnePasswordIntegration| {
            let status = object.status.as_ref();
            status.and_then(|status| status.last_discovery_time.clone())
        };
        let later = |object: &OnePasswordIntegration| listed(object) > listed(before);
        let (namespace, name) = (before.namespace().unwrap_or_default(), before.name_any());
        self.wait(&namespace, &name, "discovered again", later)
            .await
    }

    /// Waits until an object is there and as it should be.
    pub async fn wait<K>(
        &self,
        namespace: &str,
        name: &str,
        until: &str,
        is_so: impl Fn(&K) -> bool + Send + Sync,
    ) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let api = self.namespaced::<K>(namespace);
        let condition = |object: Option<&K>| object.is_some_and(&is_so);
        let waiting = await_condition(api.clone(), name, condition);
        match tokio::time::timeout(DEADLINE, waiting).await {
            Ok(found) => found.expect("a watch").expect("an object"),
            Err(_) => {
                let last = api.get_opt(name).await;
                panic!(
                    "{} {name} has not come to: {until}. Now it is {last:#?}",
                    K::kind(&())
                )
            }
        }
    }

    /// Waits until a condition of an integration has this status and reason, of the present generation.
    pub async fn integration(&self, name: &str, type_: &str, says: &str) -> OnePasswordIntegration {
        let until = format!("{type_}={says}");
        let is_so = |object: &OnePasswordIntegration| {
            let status = object.status.as_ref();
            let current = status.and_then(|status| status.observed_generation);
            current == object.metadata.generation
                && status.is_some_and(|status| said(&status.conditions, type_) == says)
        };
        self.wait(PLATFORM, name, &until, is_so).await
    }

    /// Waits until a flow's Ready has this status and reason, of the present generation.
    pub async fn flow(&self, name: &str, says: &str) -> AccessFlow {
        let is_so = |object: &AccessFlow| {
            let status = object.status.as_ref();
            let current = status.and_then(|status| status.observed_generation);
            current == object.metadata.generation
                && status.is_some_and(|status| said(&status.conditions, api::READY) == says)
        };
        self.wait(PLATFORM, name, &format!("Ready={says}"), is_so)
            .await
    }

    /// How many requests 1Password has seen.
    pub async fn requests(&self) -> u64 {
        self.onepassword.requests().await.expect("the log").total
    }
}

/// A condition's status and reason.
pub fn said(conditions: &[Condition], type_: &str) -> String {
    let condition = conditions.iter().find(|condition| condition.type_ == type_);
    condition.map_or_else(
        || "absent".to_owned(),
        |c| format!("{} {}", c.status, c.reason),
    )
}

/// A condition's message.
pub fn message(conditions: &[Condition], type_: &str) -> String {
    let condition = conditions.iter().find(|condition| condition.type_ == type_);
    condition
        .map(|condition| condition.message.clone())
        .unwrap_or_default()
}

/// The compiled core as a file: kept in the cache for the next run.
pub async fn compiled_core() -> PathBuf {
    keyloan_core::compiled_core()
        .await
        .expect("a compiled core")
}

fn simulator() -> Simulator {
    let account = include_str!("../../../dev/simulator/account.example.yaml");
    let account = Account::parse(account).expect("the example account");
    Simulator::start(account, keyloan_simulator::Options::default()).expect("a simulator")
}

fn allow(simulator: &Simulator) -> AllowedOrigins {
    AllowedOrigins::with([origin(simulator)])
}

fn origin(simulator: &Simulator) -> Origin {
    Origin::parse(&simulator.origin()).expect("an origin")
}

/// Overwrites members, deeply; lists as a whole.
fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(into.entry(key).or_insert(Value::Null), change);
            }
        }
        (into, changes) => *into = changes,
    }
}
