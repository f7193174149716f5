//! The benchmark's cluster: integrations with their flows, and alice, who makes requests.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use keyloan::api::{
    AccessDecision, AccessFlow, AccessGrant, INTEGRATION_LABEL, OnePasswordIntegration, READY,
    RENEW_ANNOTATION, SECRET_LABEL,
};
use keyloan_cluster::LINKS_NAMESPACE;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::arrivals::Arrivals;
use crate::service::{Service, VAULT, item_title};
use crate::stopwatch;

/// The namespace of integrations, flows and records.
pub const PLATFORM: &str = keyloan_cluster::INTEGRATION_NAMESPACE;
/// The namespace of the requests.
pub const TEAM: &str = "team";
/// The duration of the loans, in hours: long enough that they end only when the benchmark ends
/// them.
pub const HOURS: i64 = 12;

/// How long an integration may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// The cluster and the people in it.
pub struct Stage {
    /// The client of the admin, who may do everything.
    pub admin: Client,
    /// The client of the requester.
    pub alice: Client,
    /// The watches' observations of the loans in [`TEAM`].
    pub arrivals: Arrivals,
    _watches: JoinSet<()>,
}

impl Stage {
    /// Creates the namespaces, and lets alice's group make requests in one of them.
    pub async fn set(admin: Client, alice: Client) -> Result<Self> {
        // The platform's namespace exists: the operator has its rights there.
        namespace(&admin, TEAM).await?;
        let mut watches = JoinSet::new();
        let arrivals = Arrivals::watch(&admin, TEAM, &mut watches);
        Ok(Self {
            admin,
            alice,
            arrivals,
            _watches: watches,
        })
    }

    /// Connects integrations by number, each to a service account of its own, and waits until they are ready.
    pub async fn integrate(
        &self,
        numbers: impl IntoIterator<Item = usize>,
        service: &Service,
    ) -> Result<()> {
        let numbers: Vec<usize> = numbers.into_iter().collect();
        for number in &numbers {
            self.connect(*number, service.token(*number).await?).await?;
        }
        for number in numbers {
            self.until_ready(number).await?;
        }
        Ok(())
    }

    async fn connect(&self, number: usize, token: String) -> Result<()> {
        let name = integration_name(number);
        let secret = format!("{name}-token");
        create::<Secret>(&self.admin, PLATFORM, json!({
            "metadata": { "name": secret, "labels": { SECRET_LABEL: "token", INTEGRATION_LABEL: name } },
            "stringData": { "token": token },
        }))
        .await?;
        create::<OnePasswordIntegration>(
            &self.admin,
            PLATFORM,
            json!({
                "metadata": { "name": name },
                "spec": {
                    "auth": { "serviceAccountToken": { "secretRef": { "name": secret } } },
                    "plan": "Business",
                    "vaults": [VAULT],
                    // Alice is the only requester here.
                    "limits": { "requesterShare": 100, "renewalShare": 0, "sharesPerMinute": 10_000 },
                },
            }),
        )
        .await?;
        create::<AccessFlow>(
            &self.admin,
            PLATFORM,
            json!({
                "metadata": { "name": name },
                "spec": {
                    "integration": name,
                    "namespaces": { "from": "All" },
                    "requesters": [{ "kind": "Group", "name": "engineering" }],
                    "items": { "include": [{ "vault": VAULT }] },
                    "grant": { "maxDuration": format!("{HOURS}h") },
                    "approval": { "mode": "None" },
                    "limits": { "activePerRequester": 1000, "pendingPerRequester": 1000 },
                },
            }),
        )
        .await?;
        Ok(())
    }

    /// Adds a flow in which the people of a group may make requests, and which requires an
    /// approval.
    pub async fn add_flow_with_approval(&self, integration: usize, group: &str) -> Result<()> {
        create::<AccessFlow>(
            &self.admin,
            PLATFORM,
            json!({
                "metadata": { "name": flow_with_approval(integration) },
                "spec": {
                    "integration": integration_name(integration),
                    "namespaces": { "from": "All" },
                    "requesters": [{ "kind": "Group", "name": group }],
                    "items": { "include": [{ "vault": VAULT }] },
                    "grant": { "maxDuration": format!("{HOURS}h") },
                    "approval": {
                        "mode": "AnyOf",
                        "groups": [{ "name": "security", "approvers": [{ "kind": "Group", "name": "security" }] }],
                    },
                    "limits": { "activePerRequester": 1000, "pendingPerRequester": 1000 },
                },
            }),
        )
        .await
        .map(drop)
    }

    /// Overwrites an integration's token.
    pub async fn put_token(&self, number: usize, token: &str) -> Result<()> {
        let secrets = Api::<Secret>::namespaced(self.admin.clone(), PLATFORM);
        let name = format!("{}-token", integration_name(number));
        let token = json!({ "stringData": { "token": token } });
        secrets
            .patch(&name, &PatchParams::default(), &Patch::Merge(token))
            .await?;
        Ok(())
    }

    /// Waits until an integration is ready.
    pub async fn until_ready(&self, number: usize) -> Result<()> {
        let integrations = Api::<OnePasswordIntegration>::namespaced(self.admin.clone(), PLATFORM);
        let name = integration_name(number);
        let began = stopwatch::now();
        loop {
            let conditions = integrations
                .get_status(&name)
                .await?
                .status
                .unwrap_or_default()
                .conditions;
            if conditions
                .iter()
                .any(|c| c.type_ == READY && c.status == "True")
            {
                return Ok(());
            }
            if began.elapsed() > READY_WITHIN {
                let said: Vec<String> = conditions
                    .iter()
                    .map(|c| format!("{}={} ({})", c.type_, c.status, c.message))
                    .collect();
                bail!(
                    "the integration {name} is not ready after {READY_WITHIN:?}: {}",
                    said.join("; ")
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// One of alice's requests, by the number of the loan.
    pub fn request(number: usize, integration: usize) -> Value {
        json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant",
            "metadata": { "name": format!("loan-{number:05}") },
            "spec": {
                "integration": { "name": integration_name(integration), "namespace": PLATFORM },
                "item": { "vault": VAULT, "item": item_title(number) },
                "duration": format!("{HOURS}h"),
                "justification": "benchmark",
            },
        })
    }

    /// Deletes a loan's link Secret.
    pub async fn delete_link(&self, uid: &str) -> Result<()> {
        let secrets = Api::<Secret>::namespaced(self.admin.clone(), LINKS_NAMESPACE);
        let name = keyloan::api::link_name(uid);
        secrets.delete(&name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Deletes the link Secret of one of alice's loans and, as alice, asks for the next link.
    pub async fn ask_for_renewal(&self, grant: &str, uid: &str) -> Result<()> {
        self.delete_link(uid).await?;
        let grants = Api::<AccessGrant>::namespaced(self.alice.clone(), TEAM);
        grants
            .patch(grant, &PatchParams::default(), &Patch::Merge(renewal()))
            .await?;
        Ok(())
    }

    /// Blocks alice in an integration, which ends her loans from it.
    pub async fn block_alice(&self, integration: usize) -> Result<()> {
        let alice = json!({ "kind": "User", "name": "alice@example.com" });
        self.block(integration, &alice).await
    }

    /// Blocks a group in an integration, which ends the loans of its people.
    pub async fn block_group(&self, integration: usize, group: &str) -> Result<()> {
        let group = json!({ "kind": "Group", "name": group });
        self.block(integration, &group).await
    }

    async fn block(&self, integration: usize, whom: &Value) -> Result<()> {
        let integrations = Api::<OnePasswordIntegration>::namespaced(self.admin.clone(), PLATFORM);
        let blocked = json!({ "spec": { "limits": { "blocked": [whom] } } });
        integrations
            .patch(
                &integration_name(integration),
                &PatchParams::default(),
                &Patch::Merge(blocked),
            )
            .await?;
        Ok(())
    }

    /// Ends a loan with a decision of the admin, who may revoke it.
    pub async fn revoke(&self, namespace: &str, grant: &str, uid: &str) -> Result<()> {
        let decision = json!({
            "metadata": { "name": format!("revoke-{grant}") },
            "spec": { "grant": grant, "grantUid": uid, "decision": "Revoke" },
        });
        create::<AccessDecision>(&self.admin, namespace, decision)
            .await
            .map(drop)
    }

    /// Deletes grants as alice, eight at a time.
    pub async fn delete(&self, grants: impl IntoIterator<Item = String>) -> Result<()> {
        let api = Api::<AccessGrant>::namespaced(self.alice.clone(), TEAM);
        let deletions = grants.into_iter().map(|name| {
            let api = api.clone();
            async move { api.delete(&name, &DeleteParams::default()).await }
        });
        futures::stream::iter(deletions)
            .buffer_unordered(8)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        Ok(())
    }
}

/// The patch of a request that asks for the next link.
pub fn renewal() -> Value {
    json!({ "metadata": { "annotations": { RENEW_ANNOTATION: stopwatch::wall_clock().to_string() } } })
}

/// Creates a namespace in which alice's group may make requests.
pub async fn namespace(admin: &Client, name: &str) -> Result<()> {
    let namespaces = Api::<Namespace>::all(admin.clone());
    let object = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
    namespaces
        .create(&PostParams::default(), &object)
        .await
        .with_context(|| format!("cannot create the namespace {name}"))?;
    create::<Role>(
        admin,
        name,
        json!({
            "metadata": { "name": "borrowers" },
            "rules": [{
                "apiGroups": ["keyloan.dev"], "resources": ["accessgrants"],
                "verbs": ["create", "delete", "get", "list", "patch", "watch"],
            }],
        }),
    )
    .await?;
    create::<RoleBinding>(admin, name, json!({
        "metadata": { "name": "borrowers" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "borrowers" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "engineering" }],
    }))
    .await?;
    Ok(())
}

/// Creates an object from JSON.
pub async fn create<K>(client: &Client, namespace: &str, object: Value) -> Result<K>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let what = format!(
        "{} {}/{}",
        K::kind(&()),
        namespace,
        object["metadata"]["name"].as_str().unwrap_or_default()
    );
    let object: K =
        serde_json::from_value(object).with_context(|| format!("{what} is malformed"))?;
    let created = Api::<K>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &object)
        .await;
    created.with_context(|| format!("cannot create {what}"))
}

/// The name of an integration's flow without approval.
pub fn flow_name(integration: usize) -> String {
    integration_name(integration)
}

/// The name of an integration's flow with approval.
pub fn flow_with_approval(integration: usize) -> String {
    format!("{}-approved", integration_name(integration))
}

fn integration_name(number: usize) -> String {
    format!("integration-{number:02}")
}
