//! A world to lend in: a control plane with people, a 1Password account, and an operator that runs as its own ServiceAccount.
//!
//! Every wait has the same generous end; what is waited for is an event, never a time.

mod backdate;
mod decisions;
mod echo;
mod hindrances;
mod links;
#[path = "../../support/looked.rs"]
mod looked;
mod people;
mod rights;
mod signing;
mod velero;
mod waits;
mod wire;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use keyloan::api::*;
use keyloan::cluster::KubeAccess;
use keyloan::onepassword::AllowedOrigins;
use keyloan::operator::{Running, Settings};
use keyloan::runtime::Clock;
use keyloan_cluster::{ControlPlane, INTEGRATION_NAMESPACE, LINKS_NAMESPACE, Lent, Options};
use keyloan_simulator::{Account, Control, Simulator};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

pub use decisions::Say;
pub use hindrances::Hindrance;
pub use people::Ask;
pub use velero::{VELERO, velero_labels};
use waits::{patiently, watched};
pub use wire::{Trouble, Wire};

/// Where integrations, flows and records are.
pub const PLATFORM: &str = INTEGRATION_NAMESPACE;
/// Where the operator keeps links.
pub const LINKS: &str = LINKS_NAMESPACE;
/// Where people ask.
pub const TEAM: &str = "team-a";

/// The whole of it. What it is made of ends with it.
pub struct World {
    /// Steers 1Password, and opens links.
    pub control: Control,
    pub cluster: Lent,
    pub admin: Client,
    clock: Clock,
    /// How the operator is started next.
    pub settings: Settings,
    operator: Option<Running>,
    /// The operator's roles as they were, while some rights are taken away; and those.
    rights: Vec<(usize, Vec<PolicyRule>)>,
    taken: Vec<(String, String, String)>,
    _simulator: Simulator,
}

impl World {
    /// A world with people, namespaces and an operator, and nothing to lend yet.
    pub async fn start() -> Self {
        let mut world = Self::without_operator().await;
        world.restart_operator().await;
        world
    }

    /// The same, for an operator of the test's own.
    pub async fn without_operator() -> Self {
        let options = Options {
            audit_log: true,
            ..Options::default()
        };
        let options = options.with_keyloan().expect("the project's manifests");
        let cluster = ControlPlane::lend(options).await.expect("a control plane");
        let world = Self::in_cluster(cluster, simulator()).await;
        world.let_people_ask().await;
        world
    }

    /// A world whose 1Password account has this plan, and so its request limits.
    pub async fn with_plan(plan: &str) -> Self {
        let options = Options {
            audit_log: true,
            ..Options::default()
        };
        let options = options.with_keyloan().expect("the project's manifests");
        let cluster = ControlPlane::lend(options).await.expect("a control plane");
        let account = EXAMPLE_ACCOUNT.replace("plan: Business", &format!("plan: {plan}"));
        let mut world = Self::in_cluster(cluster, simulator_of(&account)).await;
        world.let_people_ask().await;
        world.restart_operator().await;
        world
    }

    /// A world in a cluster that has Keyloan's kinds, policies and ServiceAccount, and rights for nobody but the operator.
    pub async fn in_cluster(cluster: impl Into<Lent>, simulator: Simulator) -> Self {
        // Shown when the test fails.
        tracing_subscriber::fmt()
            .with_env_filter("info,keyloan=debug,kube_client=off")
            .with_test_writer()
            .try_init()
            .ok();
        let cluster = cluster.into();
        let admin = cluster.client("admin").await.expect("a client");
        let settings = settings(&cluster, &simulator).await;
        let world = Self {
            rights: Vec::new(),
            taken: Vec::new(),
            control: simulator.control(),
            clock: settings.clock.clone(),
            cluster,
            admin,
            settings,
            operator: None,
            _simulator: simulator,
        };
        for (namespace, lends) in [(PLATFORM, "no"), (TEAM, "yes"), ("team-b", "no")] {
            world.namespace(namespace, lends).await;
        }
        world.until_stamped().await;
        // Whatever it shows: what is installed may be of an earlier release.
        looked::look(&world.settings).await.ok();
        world
    }

    /// The arguments by which `keyloan run` becomes this world's operator.
    pub fn operator_arguments(&self) -> Vec<String> {
        let KubeAccess::Kubeconfig(kubeconfig) = &self.settings.kube else {
            panic!("a file")
        };
        let (kubeconfig, core) = (kubeconfig.display(), self.settings.core.display());
        let origin = self.control.origin();
        [
            "run".into(),
            format!("--kubeconfig={kubeconfig}"),
            format!("--core={core}"),
            format!("--allow-origin={origin}"),
        ]
        .into()
    }

    /// Ends the operator as a crash would, and starts another one.
    pub async fn restart_operator(&mut self) {
        self.crash_operator();
        let running = Box::pin(keyloan::operator::start(self.settings.clone())).await;
        self.operator = Some(running.expect("an operator"));
    }

    /// Ends the operator as a crash would.
    pub fn crash_operator(&mut self) {
        drop(self.operator.take());
    }

    /// Ends the operator as a rolling update does.
    pub async fn stop_operator(&mut self) {
        let operator = self.operator.take().expect("an operator");
        operator.stop().await.expect("no failure");
    }

    /// Where the operator serves its health, if the settings have it do so.
    pub fn health_address(&self) -> std::net::SocketAddr {
        let operator = self.operator.as_ref().expect("an operator");
        operator.health_address().expect("it listens")
    }

    /// Where the operator serves its metrics, if the settings have it do so.
    pub fn metrics_address(&self) -> std::net::SocketAddr {
        let operator = self.operator.as_ref().expect("an operator");
        operator.metrics_address().expect("it listens")
    }

    /// The time by the operator's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass, for the operator and for 1Password.
    pub async fn advance(&self, by: Duration) {
        self.control
            .advance_clock(by)
            .await
            .expect("the simulator's clock");
        self.clock
            .advance(SignedDuration::try_from(by).expect("short"));
    }

    /// An integration with a token of this service account, which lends from the vault Infra; waits until it is ready.
    pub async fn integration(&self, name: &str, service_account: &str) {
        self.integration_with(name, service_account, |_| {}).await;
    }

    /// The same, changed as the test needs it.
    pub async fn integration_with(
        &self,
        name: &str,
        service_account: &str,
        change: impl FnOnce(&mut OnePasswordIntegrationSpec),
    ) {
        let token = self.control.token(service_account).await.expect("a token");
        self.token(name, &token).await;
        self.create_integration_with(name, change).await;
        let api: Api<OnePasswordIntegration> = Api::namespaced(self.admin.clone(), PLATFORM);
        let ready = |seen: Option<&OnePasswordIntegration>| {
            seen.and_then(|i| i.status.as_ref()).is_some_and(|s| {
                s.conditions
                    .iter()
                    .any(|c| c.type_ == READY && c.status == "True")
            })
        };
        patiently("the integration to be ready", watched(&api, name, ready)).await;
    }

    /// An integration, whatever is in its Secret.
    pub async fn create_integration(&self, name: &str) {
        self.create_integration_with(name, |_| {}).await;
    }

    async fn create_integration_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut OnePasswordIntegrationSpec),
    ) {
        let integration = json!({
            "apiVersion": "keyloan.dev/v1alpha1",
            "kind": "OnePasswordIntegration",
            "metadata": { "name": name, "namespace": PLATFORM },
            "spec": {
                "auth": { "serviceAccountToken": { "secretRef": { "name": format!("{name}-token") } } },
                "vaults": ["Infra"],
                "customAccessDetails": "psql -h db.example.com",
                "recipientDomains": ["example.com"],
                "plan": "Business",
            },
        });
        let api: Api<OnePasswordIntegration> = Api::namespaced(self.admin.clone(), PLATFORM);
        let mut integration: OnePasswordIntegration =
            serde_json::from_value(integration).expect("an integration");
        change(&mut integration.spec);
        api.create(&PostParams::default(), &integration)
            .await
            .expect("created");
    }

    /// Puts a token into the Secret of an integration.
    pub async fn token(&self, integration: &str, token: &str) {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": format!("{integration}-token"),
                "namespace": PLATFORM,
                "labels": { SECRET_LABEL: "token", INTEGRATION_LABEL: integration },
            },
            "stringData": { "token": token },
        });
        let api: Api<Secret> = Api::namespaced(self.admin.clone(), PLATFORM);
        let params = PatchParams::apply("platform-team").force();
        api.patch(
            &format!("{integration}-token"),
            &params,
            &Patch::Apply(&secret),
        )
        .await
        .expect("applied");
    }

    /// A flow by which engineering may borrow from Infra unasked, changed as the test needs it.
    pub async fn flow(&self, name: &str, change: impl FnOnce(&mut AccessFlowSpec)) {
        let spec = json!({
            "integration": "prod",
            "namespaces": { "from": "All" },
            "requesters": [{ "kind": "Group", "name": "engineering" }],
            "items": { "include": [{ "vault": "Infra" }] },
            "grant": { "maxDuration": "8h" },
            "approval": { "mode": "None" },
        });
        let mut spec: AccessFlowSpec = serde_json::from_value(spec).expect("a flow");
        change(&mut spec);
        let api: Api<AccessFlow> = Api::namespaced(self.admin.clone(), PLATFORM);
        api.create(&PostParams::default(), &AccessFlow::new(name, spec))
            .await
            .expect("created");
        // Requests come by a watch of their own: one that comes before the flow is refused for a moment.
        if self.operator.is_some() {
            self.until_flow_is_known(name).await;
        }
    }

    /// Deletes a flow.
    pub async fn remove_flow(&self, name: &str) {
        let flows: Api<AccessFlow> = Api::namespaced(self.admin.clone(), PLATFORM);
        flows
            .delete(name, &DeleteParams::default())
            .await
            .expect("deleted");
    }

    /// Deletes a flow and an integration.
    pub async fn remove_flow_and_integration(&self, flow: &str, integration: &str) {
        self.remove_flow(flow).await;
        let integrations: Api<OnePasswordIntegration> =
            Api::namespaced(self.admin.clone(), PLATFORM);
        integrations
            .delete(integration, &DeleteParams::default())
            .await
            .expect("deleted");
    }

    /// A namespace whose label `lends` says this.
    pub async fn namespace(&self, name: &str, lends: &str) {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": name, "labels": { "lends": lends } },
        });
        let api: Api<Namespace> = Api::all(self.admin.clone());
        // The operator's own, which is the platform team's here, is there already.
        let params = PatchParams::apply("test").force();
        api.patch(name, &params, &Patch::Apply(&namespace))
            .await
            .expect("applied");
    }

    /// Lets everybody ask and decide, as far as rights go.
    pub async fn let_people_ask(&self) {
        let rights = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ask-for-grants}
rules:
- {apiGroups: [keyloan.dev], resources: [accessgrants], verbs: [create, get, list, watch, delete, patch, update]}
- {apiGroups: [keyloan.dev], resources: [accessdecisions], verbs: [create, get, list, watch, delete, patch, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ask-for-grants}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ask-for-grants}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}]
"#;
        keyloan_cluster::apply_yaml(&self.admin, rights)
            .await
            .expect("applied");
    }
}

/// 1Password, with the example account.
pub fn simulator() -> Simulator {
    simulator_of(EXAMPLE_ACCOUNT)
}

fn simulator_of(account: &str) -> Simulator {
    let account = Account::parse(account).expect("an account");
    Simulator::start(account, keyloan_simulator::Options::default()).expect("a simulator")
}

const EXAMPLE_ACCOUNT: &str = include_str!("../../../dev/simulator/account.example.yaml");

/// An operator that runs as its own ServiceAccount, lends only from this simulator, and has a clock that can be moved.
async fn settings(cluster: &ControlPlane, simulator: &Simulator) -> Settings {
    keyloan::cluster::install_tls();
    let core = keyloan_core::compiled_core()
        .await
        .expect("a compiled core");
    let kubeconfig = cluster.operator_kubeconfig().await;
    let origin = simulator.origin().parse().expect("an origin");
    let mut settings = Settings::new(core);
    settings.kube = KubeAccess::Kubeconfig(kubeconfig.expect("a kubeconfig"));
    settings.allowed_origins = AllowedOrigins::with([origin]);
    settings
}

/// What became of each of a loan's links.
pub fn outcomes(record: &AccessRecord) -> Vec<Option<LinkOutcome>> {
    record.spec.links.iter().map(|link| link.outcome).collect()
}

/// A condition of a grant.
pub fn condition<'a>(grant: &'a AccessGrant, type_: &str) -> Option<&'a Condition> {
    grant
        .status
        .as_ref()?
        .conditions
        .iter()
        .find(|c| c.type_ == type_)
}

/// A selector of one label.
pub fn labels(key: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some([(key.to_owned(), value.to_owned())].into()),
        match_expressions: None,
    }
}

/// Has a flow ask for the approval of these groups: each a name, a group of people, and how many of them.
pub fn needs_approval(
    mode: &'static str,
    groups: &'static [(&'static str, &'static str, u32)],
) -> impl Fn(&mut AccessFlowSpec) {
    move |flow| {
        let group = |(name, group, required): &(&str, &str, u32)| {
            json!({
                "name": name,
                "approvers": [{ "kind": "Group", "name": group }],
                "required": required,
            })
        };
        let groups: Vec<_> = groups.iter().map(group).collect();
        let approval = json!({ "mode": mode, "groups": groups });
        flow.approval = serde_json::from_value(approval).expect("an approval");
    }
}
