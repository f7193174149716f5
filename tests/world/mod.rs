//! A world to lend in: a control plane with people, a 1Password account, and an operator that runs as its own ServiceAccount.
//!
//! Every wait has the same generous end; what is waited for is an event, never a time.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use keyloan::api::*;
use keyloan::cluster::KubeAccess;
use keyloan::onepassword::AllowedOrigins;
use keyloan::onepassword::core::artifact;
use keyloan::runtime::{Clock, Running, Settings};
use keyloan_cluster::{ControlPlane, Options};
use keyloan_simulator::{Account, Control, Simulator};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

/// No wait takes longer; on a good day none takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where integrations, flows and records are.
pub const PLATFORM: &str = "keyloan";
/// Where people ask.
pub const TEAM: &str = "team-a";

/// The whole of it. What it is made of ends with it.
pub struct World {
    /// Steers 1Password, and opens links.
    pub control: Control,
    pub cluster: ControlPlane,
    pub admin: Client,
    clock: Clock,
    settings: Settings,
    operator: Option<Running>,
    _simulator: Simulator,
}

/// What somebody asks for.
pub struct Ask {
    spec: Value,
    namespace: &'static str,
}

impl Ask {
    /// An item of the vault Infra, by the integration prod.
    pub fn item(item: &str) -> Self {
        let spec = json!({
            "integration": { "name": "prod", "namespace": PLATFORM },
            "item": { "vault": "Infra", "item": item },
        });
        Self {
            spec,
            namespace: TEAM,
        }
    }

    pub fn in_vault(mut self, vault: &str) -> Self {
        self.spec["item"]["vault"] = json!(vault);
        self
    }

    pub fn of(mut self, integration: &str) -> Self {
        self.spec["integration"]["name"] = json!(integration);
        self
    }

    pub fn from(mut self, namespace: &'static str) -> Self {
        self.namespace = namespace;
        self
    }

    pub fn lasting(mut self, duration: &str) -> Self {
        self.spec["duration"] = json!(duration);
        self
    }

    pub fn to(mut self, recipient: &str) -> Self {
        self.spec["recipients"] = json!([recipient]);
        self
    }

    pub fn once(mut self) -> Self {
        self.spec["viewOnce"] = json!(true);
        self
    }
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
        // Shown when the test fails.
        tracing_subscriber::fmt()
            .with_env_filter("info,keyloan=debug")
            .with_test_writer()
            .try_init()
            .ok();
        let account = include_str!("../../dev/simulator/account.example.yaml");
        let account = Account::parse(account).expect("the example account");
        let simulator =
            Simulator::start(account, keyloan_simulator::Options::default()).expect("a simulator");
        let options = Options {
            manifests: ["crds", "dev/cluster/operator-rbac.yaml"]
                .map(manifest)
                .into(),
            ..Options::default()
        };
        let cluster = ControlPlane::start(options).await.expect("a control plane");
        let admin = cluster.client("admin").await.expect("a client");
        let settings = settings(&cluster, &simulator).await;
        let world = Self {
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
        world.let_people_ask().await;
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
        drop(self.operator.take());
        let running = keyloan::runtime::start(self.settings.clone()).await;
        self.operator = Some(running.expect("an operator"));
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
        let token = self.control.token(service_account).await.expect("a token");
        self.token(name, &token).await;
        self.create_integration(name).await;
        let api: Api<OnePasswordIntegration> = Api::namespaced(self.admin.clone(), PLATFORM);
        let ready = |seen: Option<&OnePasswordIntegration>| {
            seen.and_then(|i| i.status.as_ref()).is_some_and(|s| {
                s.conditions
                    .iter()
                    .any(|c| c.type_ == READY && c.status == "True")
            })
        };
        patiently(
            "the integration to be ready",
            await_condition(api, name, ready),
        )
        .await
        .expect("watched");
    }

    /// An integration, whatever is in its Secret.
    pub async fn create_integration(&self, name: &str) {
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
        let integration = serde_json::from_value(integration).expect("an integration");
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
    }

    /// Somebody asks, in person.
    pub async fn ask(&self, who: &str, ask: Ask) -> AccessGrant {
        let client = self.cluster.client(who).await.expect("a client");
        request(client, ask).await
    }

    /// Somebody asks whose name is no e-mail address.
    pub async fn ask_without_email(&self, who: &str, group: &str, ask: Ask) -> AccessGrant {
        let kubeconfig = self.cluster.kubeconfig("admin");
        let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default())
            .await
            .expect("a config");
        config.auth_info.impersonate = Some(who.into());
        config.auth_info.impersonate_groups =
            Some(vec![group.into(), "system:authenticated".into()]);
        request(Client::try_from(config).expect("a client"), ask).await
    }

    /// Waits until a grant is as it should be.
    pub async fn until(
        &self,
        grant: &AccessGrant,
        wanted: impl Fn(&AccessGrant) -> bool,
    ) -> AccessGrant {
        let api: Api<AccessGrant> =
            Api::namespaced(self.admin.clone(), &grant.namespace().expect("one"));
        let name = grant.name_any();
        let condition = |seen: Option<&AccessGrant>| seen.is_some_and(&wanted);
        match tokio::time::timeout(PATIENCE, await_condition(api.clone(), &name, condition)).await {
            Ok(seen) => seen.expect("watched").expect("it is there"),
            Err(_) => {
                let status = api
                    .get_opt(&name)
                    .await
                    .expect("readable")
                    .and_then(|g| g.status);
                panic!("waited in vain; the grant's status is {status:#?}");
            }
        }
    }

    /// Waits until a link is there and opens.
    pub async fn until_active(&self, grant: &AccessGrant) -> AccessGrant {
        self.until(grant, |g| {
            condition(g, ACTIVE).is_some_and(|c| c.status == "True")
        })
        .await
    }

    /// Waits until the record of a grant is as it should be.
    pub async fn until_record(
        &self,
        grant: &AccessGrant,
        wanted: impl Fn(&AccessRecord) -> bool,
    ) -> AccessRecord {
        let api: Api<AccessRecord> = Api::namespaced(self.admin.clone(), PLATFORM);
        let condition = |seen: Option<&AccessRecord>| seen.is_some_and(&wanted);
        let seen = patiently(
            "a record",
            await_condition(api, &grant.uid().expect("one"), condition),
        )
        .await;
        seen.expect("watched").expect("it is there")
    }

    /// Waits until Secret, Role and RoleBinding of a grant's link are gone.
    pub async fn until_link_gone(&self, grant: &AccessGrant) {
        use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
        use kube::runtime::conditions::is_deleted;
        let (namespace, name) = (
            grant.namespace().expect("one"),
            link_name(&grant.uid().expect("one")),
        );
        macro_rules! gone {
            ($kind:ty) => {
                let api = Api::<$kind>::namespaced(self.admin.clone(), &namespace);
                if let Some(object) = api.get_opt(&name).await.expect("readable") {
                    let uid = object.uid().expect("one");
                    let deleted = is_deleted(&uid);
                    patiently(stringify!($kind), await_condition(api, &name, deleted))
                        .await
                        .expect("watched");
                }
            };
        }
        gone!(Secret);
        gone!(Role);
        gone!(RoleBinding);
    }

    /// Waits until 1Password has got so many requests by this route.
    pub async fn until_requested(&self, route: &str, times: u64) {
        let arrived = async {
            while self.control.requests().await.expect("log").count(route) < times {
                tokio::task::yield_now().await;
            }
        };
        patiently(route, arrived).await;
    }

    /// When an integration's vaults were listed last.
    pub async fn discovered_at(&self, integration: &str) -> Timestamp {
        let api: Api<OnePasswordIntegration> = Api::namespaced(self.admin.clone(), PLATFORM);
        let status = api
            .get(integration)
            .await
            .expect("readable")
            .status
            .expect("a status");
        status.last_discovery_time.expect("discovered").0
    }

    /// Waits until an integration's vaults have been listed after that time.
    pub async fn until_discovered_after(&self, integration: &str, then: Timestamp) {
        let api: Api<OnePasswordIntegration> = Api::namespaced(self.admin.clone(), PLATFORM);
        let later = |seen: Option<&OnePasswordIntegration>| {
            let status = seen.and_then(|i| i.status.as_ref());
            status
                .and_then(|s| s.last_discovery_time.as_ref())
                .is_some_and(|t| t.0 > then)
        };
        patiently("a discovery", await_condition(api, integration, later))
            .await
            .expect("watched");
    }

    /// What somebody reads in the Secret of a link; or why that is refused.
    pub async fn read_link(
        &self,
        who: &str,
        grant: &AccessGrant,
    ) -> Result<BTreeMap<String, String>, String> {
        let client = self.cluster.client(who).await.expect("a client");
        let api: Api<Secret> = Api::namespaced(client, &grant.namespace().expect("one"));
        let secret = api
            .get(&link_name(&grant.uid().expect("one")))
            .await
            .map_err(|e| format!("{e:?}"))?;
        let text = |(key, value): (String, k8s_openapi::ByteString)| {
            (key, String::from_utf8(value.0).expect("text"))
        };
        Ok(secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(text)
            .collect())
    }

    /// Somebody deletes a grant.
    pub async fn delete(&self, who: &str, grant: &AccessGrant) {
        let client = self.cluster.client(who).await.expect("a client");
        let api: Api<AccessGrant> = Api::namespaced(client, &grant.namespace().expect("one"));
        api.delete(&grant.name_any(), &DeleteParams::default())
            .await
            .expect("deleted");
    }

    /// Sets an annotation on a grant.
    pub async fn annotate(&self, grant: &AccessGrant, key: &str, value: &str) {
        let api: Api<AccessGrant> =
            Api::namespaced(self.admin.clone(), &grant.namespace().expect("one"));
        let patch = json!({ "metadata": { "annotations": { key: value } } });
        api.patch(
            &grant.name_any(),
            &PatchParams::default(),
            &Patch::Merge(patch),
        )
        .await
        .expect("annotated");
    }

    /// Deletes a flow and an integration.
    pub async fn remove_flow_and_integration(&self, flow: &str, integration: &str) {
        let flows: Api<AccessFlow> = Api::namespaced(self.admin.clone(), PLATFORM);
        flows
            .delete(flow, &DeleteParams::default())
            .await
            .expect("deleted");
        let integrations: Api<OnePasswordIntegration> =
            Api::namespaced(self.admin.clone(), PLATFORM);
        integrations
            .delete(integration, &DeleteParams::default())
            .await
            .expect("deleted");
    }

    /// Puts a Secret where a grant's link will want to be.
    pub async fn plant_secret(&self, grant: &AccessGrant, url: &str) {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": link_name(&grant.uid().expect("one")) },
            "stringData": { "url": url },
        });
        let api: Api<Secret> =
            Api::namespaced(self.admin.clone(), &grant.namespace().expect("one"));
        let secret = serde_json::from_value(secret).expect("a secret");
        api.create(&PostParams::default(), &secret)
            .await
            .expect("created");
    }

    async fn namespace(&self, name: &str, lends: &str) {
        let namespace = json!({ "metadata": { "name": name, "labels": { "lends": lends } } });
        let namespace: Namespace = serde_json::from_value(namespace).expect("a namespace");
        let api: Api<Namespace> = Api::all(self.admin.clone());
        api.create(&PostParams::default(), &namespace)
            .await
            .expect("created");
    }

    async fn let_people_ask(&self) {
        let rights = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ask-for-grants}
rules:
- {apiGroups: [keyloan.dev], resources: [accessgrants], verbs: [create, get, list, watch, delete, patch]}
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

/// An operator that runs as its own ServiceAccount, lends only from this simulator, and has a clock that can be moved.
async fn settings(cluster: &ControlPlane, simulator: &Simulator) -> Settings {
    keyloan::cluster::install_tls();
    let wasm = keyloan_cluster::core_wasm().await.expect("the SDK core");
    let cache = keyloan_cluster::cache_dir().expect("a cache");
    let core = tokio::task::spawn_blocking(move || artifact::ensure(&wasm, &cache.join("core")));
    let core = core.await.expect("no panic").expect("a compiled core");
    let kubeconfig = cluster
        .service_account_kubeconfig("keyloan-system", "keyloan")
        .await;
    let origin = simulator.origin().parse().expect("an origin");
    let mut settings = Settings::new(core);
    settings.kube = KubeAccess::Kubeconfig(kubeconfig.expect("a kubeconfig"));
    settings.allowed_origins = AllowedOrigins::with([origin]);
    settings
}

/// The YAML of a folder, or of a file, of this project.
fn manifest(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    match path.is_dir() {
        true => keyloan_cluster::read_folder(&path).expect("readable"),
        false => std::fs::read_to_string(&path).expect("readable"),
    }
}

async fn request(client: Client, ask: Ask) -> AccessGrant {
    let grant = json!({
        "apiVersion": "keyloan.dev/v1alpha1",
        "kind": "AccessGrant",
        "metadata": { "generateName": "loan-" },
        "spec": ask.spec,
    });
    let api: Api<AccessGrant> = Api::namespaced(client, ask.namespace);
    let grant = serde_json::from_value(grant).expect("a grant");
    api.create(&PostParams::default(), &grant)
        .await
        .expect("asked")
}

async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(done) => done,
        Err(_) => panic!("waited in vain for {what}"),
    }
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

/// Has a flow ask for the approval of one of the security people.
pub fn needs_approval(flow: &mut AccessFlowSpec) {
    let approval = json!({
        "mode": "AnyOf",
        "groups": [{ "name": "security", "approvers": [{ "kind": "Group", "name": "security" }] }],
    });
    flow.approval = serde_json::from_value(approval).expect("an approval");
}
