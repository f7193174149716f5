//! The ground of a run: a control plane with Keyloan's kinds and rights, the simulated 1Password,
//! integrations with their flows, and the people's right to borrow.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{AccessFlow, INTEGRATION_LABEL, OnePasswordIntegration, READY, SECRET_LABEL};
use keyloan_cluster::{ControlPlane, INTEGRATION_NAMESPACE, Options, apply_yaml, wait_until};
use keyloan_simulator::{Account, Control, Simulator};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The namespace of requests.
pub const TEAM: &str = "borrowers";
/// The vault.
pub const VAULT: &str = "Infra";
/// How many items it has.
pub const ITEMS: usize = 40;
/// How many integrations there are: the operator makes at most a thousand links an hour with each.
pub const INTEGRATIONS: usize = 3;
/// The group whose members borrow.
const BORROWERS: &str = "engineering";
/// The group whose members approve.
const APPROVERS: &str = "security";
/// The time limit for the integrations to become ready.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Everybody may ask and decide, as far as rights go.
const RIGHTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: borrowers}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: borrow, namespace: borrowers}
rules:
- apiGroups: [keyloan.dev]
  resources: [accessgrants, accessdecisions]
  verbs: ["*"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: borrow, namespace: borrowers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: borrow}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: engineering}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: security}
"#;

/// The username of one of the borrowers.
pub fn borrower(number: usize) -> String {
    format!("borrower-{number}@example.com")
}

/// All that runs besides the operator.
pub struct Ground {
    /// The administrator.
    pub admin: Client,
    /// Controls the simulated 1Password.
    pub control: Control,
    /// The compiled core.
    pub core: PathBuf,
    /// The operator's own identity.
    pub operator_kubeconfig: PathBuf,
    cluster: ControlPlane,
    _simulator: Simulator,
}

impl Ground {
    /// Starts everything. The integrations are ready once an operator runs.
    pub async fn prepare(keep: bool) -> Result<Self> {
        keyloan::cluster::install_tls();
        let core = keyloan_core::compiled_core().await?;
        let simulator = Simulator::start(
            Account::parse(&account().to_string())?,
            keyloan_simulator::Options {
                // Other limits than the operator's are not of interest here.
                enforce_quotas: false,
                ..keyloan_simulator::Options::default()
            },
        )?;
        let options = Options {
            audit_log: true,
            audit_bodies_of: Some("keyloan.dev/accessrecords".to_owned()),
            keep,
            ..Options::default()
        };
        let cluster = ControlPlane::start(options.with_keyloan()?).await?;
        let ground = Self {
            admin: cluster.client("admin").await?,
            control: simulator.control(),
            core,
            operator_kubeconfig: cluster.operator_kubeconfig().await?,
            cluster,
            _simulator: simulator,
        };
        apply_yaml(&ground.admin, RIGHTS).await?;
        for number in 0..INTEGRATIONS {
            ground.connect(number).await?;
        }
        Ok(ground)
    }

    /// A client of one of the borrowers.
    pub async fn borrower(&self, number: usize) -> Result<Client> {
        self.person(&borrower(number), BORROWERS).await
    }

    /// A client of the person who approves.
    pub async fn approver(&self) -> Result<Client> {
        self.person("approver@example.com", APPROVERS).await
    }

    /// The API server's audit log.
    pub fn audit_log(&self) -> PathBuf {
        self.cluster.audit_log()
    }

    /// A folder that goes with the control plane.
    pub fn folder(&self) -> &Path {
        self.cluster.dir()
    }

    /// Waits until an operator has made all integrations ready.
    pub async fn until_ready(&self) -> Result<()> {
        let api: Api<OnePasswordIntegration> =
            Api::namespaced(self.admin.clone(), INTEGRATION_NAMESPACE);
        let is_ready = |integration: &OnePasswordIntegration| {
            let mut conditions = integration.status.iter().flat_map(|s| &s.conditions);
            conditions.any(|c| c.type_ == READY && c.status == "True")
        };
        let all = async || {
            let all = api.list(&Default::default()).await.ok()?.items;
            (all.len() == INTEGRATIONS && all.iter().all(is_ready)).then_some(())
        };
        Ok(wait_until("the integrations are ready", READY_WITHIN, all).await?)
    }

    /// Stops the control plane.
    pub async fn strike(self) {
        self.cluster.shutdown().await;
    }

    async fn person(&self, name: &str, group: &str) -> Result<Client> {
        let kubeconfig = Kubeconfig::read_from(self.cluster.kubeconfig("admin"))?;
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        config.auth_info.impersonate = Some(name.to_owned());
        let groups = [group, "system:authenticated"].map(str::to_owned);
        config.auth_info.impersonate_groups = Some(groups.to_vec());
        Ok(Client::try_from(config)?)
    }

    /// One integration with two flows: one asks nobody, the other one asks the approvers.
    async fn connect(&self, number: usize) -> Result<()> {
        let (name, admin) = (integration(number), &self.admin);
        let token = self.control.token(&name).await?;
        let secret = json!({
            "metadata": { "name": name, "labels": { SECRET_LABEL: "token", INTEGRATION_LABEL: name } },
            "stringData": { "token": token },
        });
        create::<Secret>(admin, INTEGRATION_NAMESPACE, secret).await?;
        let limits = json!({ "requesterShare": 100, "renewalShare": 0, "sharesPerMinute": 10_000 });
        let object = json!({
            "metadata": { "name": name },
            "spec": {
                "auth": { "serviceAccountToken": { "secretRef": { "name": name } } },
                "plan": "Business", "vaults": [VAULT], "limits": limits,
            },
        });
        create::<OnePasswordIntegration>(admin, INTEGRATION_NAMESPACE, object).await?;
        let group =
            json!({ "name": "security", "approvers": [{ "kind": "Group", "name": APPROVERS }] });
        for (flow, approval) in [
            (free_flow(number), json!({ "mode": "None" })),
            (
                asked_flow(number),
                json!({ "mode": "AnyOf", "groups": [group] }),
            ),
        ] {
            let object = json!({
                "metadata": { "name": flow },
                "spec": {
                    "integration": name,
                    "namespaces": { "from": "All" },
                    "requesters": [{ "kind": "Group", "name": BORROWERS }],
                    "items": { "include": [{ "vault": VAULT }] },
                    "grant": { "maxDuration": "12h" },
                    "approval": approval,
                    "limits": { "activePerRequester": 1000, "pendingPerRequester": 1000 },
                },
            });
            create::<AccessFlow>(admin, INTEGRATION_NAMESPACE, object).await?;
        }
        Ok(())
    }
}

/// The name of an integration, which is also that of its token and service account.
pub fn integration(number: usize) -> String {
    format!("lender-{number}")
}

/// The flow that asks nobody.
pub fn free_flow(number: usize) -> String {
    format!("free-{number}")
}

/// The flow that asks the approvers.
pub fn asked_flow(number: usize) -> String {
    format!("asked-{number}")
}

/// The title of an item.
pub fn item(number: usize) -> String {
    format!("item {number}")
}

/// Creates an object.
pub async fn create<K>(client: &Client, namespace: &str, object: Value) -> Result<K, kube::Error>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let object: K = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &object).await
}

/// The operator's program, which was built beside this one, or the one that the environment names.
pub fn operator_program() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot tell where this program is")?;
    let beside = this.with_file_name("keyloan");
    let beside = beside
        .to_str()
        .context("the path of this program is not text")?;
    let program = keyloan_cluster::operator_program(beside);
    let program = program.context("`cargo xtask kill` builds the operator")?;
    ensure!(
        program.is_absolute(),
        "name the operator's program by its whole path"
    );
    Ok(program)
}

fn account() -> Value {
    let items = (0..ITEMS).map(|number| {
        let field = json!({ "label": "password", "value": format!("password {number}"), "kind": "Concealed" });
        json!({ "title": item(number), "fields": [field] })
    });
    let accounts = (0..INTEGRATIONS).map(
        |number| json!({ "name": integration(number), "vaults": { VAULT: ["read", "share"] } }),
    );
    json!({
        "domain": "endurance.1password.com", "plan": "Business",
        "vaults": [{ "title": VAULT, "items": items.collect::<Vec<_>>() }],
        "serviceAccounts": accounts.collect::<Vec<_>>(),
    })
}
