//! What people do: ask, read their links, ask for the next one, give back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use keyloan::api::{AccessGrant, AccessRecord, link_name};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::waits::{A_MOMENT, patiently};
use super::{LINKS, PLATFORM, TEAM, World};

/// What somebody asks for.
pub struct Ask {
    spec: Value,
    metadata: Value,
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
            metadata: json!({ "generateName": "loan-" }),
            namespace: TEAM,
        }
    }

    /// Under a name that the requester chooses.
    pub fn named(mut self, name: &str) -> Self {
        self.metadata = json!({ "name": name });
        self
    }

    /// With an annotation.
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.metadata["annotations"] = json!({ key: value });
        self
    }

    pub fn in_vault(mut self, vault: &str) -> Self {
        self.spec["item"]["vault"] = json!(vault);
        self
    }

    pub fn of(mut self, integration: &str) -> Self {
        self.spec["integration"]["name"] = json!(integration);
        self
    }

    /// By an integration of the same name in another namespace.
    pub fn by_integration_in(mut self, namespace: &str) -> Self {
        self.spec["integration"]["namespace"] = json!(namespace);
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

    /// By this flow only.
    pub fn by(mut self, flow: &str) -> Self {
        self.spec["flow"] = json!(flow);
        self
    }

    pub fn once(mut self) -> Self {
        self.spec["viewOnce"] = json!(true);
        self
    }
}

impl World {
    /// Somebody asks, in person.
    pub async fn ask(&self, who: &str, ask: Ask) -> AccessGrant {
        let client = self.cluster.client(who).await.expect("a client");
        self.request(client, ask).await
    }

    /// Somebody asks in person at a time to come, and an operator that starts then is the first to see it: the API server
    /// stamps requests by its own clock, so this one gets its time in etcd.
    pub async fn ask_at(&mut self, who: &str, ask: Ask, at: Timestamp) -> AccessGrant {
        self.crash_operator();
        let grant = self.ask(who, ask).await;
        let (namespace, created) = (grant.namespace().expect("one"), Some(Time(at)));
        self.cluster
            .set_creation_time(
                "keyloan.dev/accessgrants",
                &namespace,
                &grant.name_any(),
                &Time(at),
            )
            .await
            .expect("changed in etcd");
        let grant = self
            .until(&grant, |g| g.metadata.creation_timestamp == created)
            .await;
        let ahead = at.duration_since(self.now());
        self.advance(ahead.try_into().expect("a time to come"))
            .await;
        self.restart_operator().await;
        grant
    }

    /// Somebody asks whose name is no e-mail address, and who therefore says when the request ends.
    pub async fn ask_without_email(&self, who: &str, group: &str, mut ask: Ask) -> AccessGrant {
        ask.spec["notAfter"] = json!("2999-01-01T00:00:00Z");
        let client = self.impersonating(who, vec![group.into()]).await;
        self.request(client, ask).await
    }

    /// Somebody asks who is known by their name alone.
    pub async fn ask_as(&self, who: &str, group: &str, ask: Ask) -> AccessGrant {
        let client = self.impersonating(who, vec![group.into()]).await;
        self.request(client, ask).await
    }

    async fn request(&self, client: Client, ask: Ask) -> AccessGrant {
        let mut grant = json!({
            "apiVersion": "keyloan.dev/v1alpha1",
            "kind": "AccessGrant",
            "metadata": ask.metadata,
            "spec": ask.spec,
        });
        grant["metadata"]["namespace"] = json!(ask.namespace);
        self.sign(&client, &mut grant).await;
        let api: Api<AccessGrant> = Api::namespaced(client, ask.namespace);
        let grant = serde_json::from_value(grant).expect("a grant");
        api.create(&PostParams::default(), &grant)
            .await
            .expect("asked")
    }

    /// Deletes the record of a grant, as a namespace's deletion does: people are not allowed to.
    pub async fn delete_record(&self, grant: &AccessGrant) {
        let client = self.as_namespace_controller().await;
        let api: Api<AccessRecord> = Api::namespaced(client, PLATFORM);
        api.delete(&grant.uid().expect("one"), &DeleteParams::default())
            .await
            .expect("deleted");
    }

    /// The controller that empties a namespace, which may change and delete what people may not.
    pub async fn as_namespace_controller(&self) -> Client {
        let controller = "system:serviceaccount:kube-system:namespace-controller";
        self.impersonating(controller, vec!["system:masters".into()])
            .await
    }

    /// Somebody whom the cluster's people do not include, in these groups.
    pub async fn impersonating(&self, who: &str, groups: Vec<String>) -> Client {
        self.impersonated_by("admin", who, groups).await
    }

    /// The same, by one of the people.
    pub async fn impersonated_by(&self, by: &str, who: &str, mut groups: Vec<String>) -> Client {
        let kubeconfig = self.cluster.kubeconfig(by);
        let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default())
            .await
            .expect("a config");
        groups.push("system:authenticated".into());
        config.auth_info.impersonate = Some(who.into());
        config.auth_info.impersonate_groups = Some(groups);
        Client::try_from(config).expect("a client")
    }

    /// What somebody reads in the Secret of a link; or why that is refused. The API server learns of the requester's right a moment after
    /// it was given.
    pub async fn read_link(
        &self,
        who: &str,
        grant: &AccessGrant,
    ) -> Result<BTreeMap<String, String>, String> {
        let client = self.cluster.client(who).await.expect("a client");
        let api: Api<Secret> = Api::namespaced(client, LINKS);
        let name = link_name(&grant.uid().expect("one"));
        let by_requester = requester(grant).split('@').next() == Some(who);
        let read = async {
            loop {
                match api.get(&name).await {
                    Err(kube::Error::Api(refusal)) if by_requester && refusal.code == 403 => {
                        tokio::time::sleep(A_MOMENT).await;
                    }
                    answer => return answer,
                }
            }
        };
        let read = patiently("the right to read a link", read).await;
        let secret = read.map_err(|e| format!("{e:?}"))?;
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

    /// The link in its Secret opens for the requester, by their address.
    pub async fn opens_for(&self, who: &str, grant: &AccessGrant) {
        let link = self.read_link(who, grant).await.expect("readable");
        let address = format!("{who}@example.com");
        let opened = self.control.open(&link["url"], &address).await;
        opened.expect("it opens");
    }

    /// Somebody deletes a grant.
    pub async fn delete(&self, who: &str, grant: &AccessGrant) {
        let client = self.cluster.client(who).await.expect("a client");
        let api: Api<AccessGrant> = Api::namespaced(client, &grant.namespace().expect("one"));
        api.delete(&grant.name_any(), &DeleteParams::default())
            .await
            .expect("deleted");
    }

    /// The requester sets an annotation on their grant.
    pub async fn annotate(&self, grant: &AccessGrant, key: &str, value: &str) {
        let who = requester(grant).split('@').next().expect("a name");
        let client = self.cluster.client(who).await.expect("a client");
        let api: Api<AccessGrant> = Api::namespaced(client, &grant.namespace().expect("one"));
        let patch = json!({ "metadata": { "annotations": { key: value } } });
        api.patch(
            &grant.name_any(),
            &PatchParams::default(),
            &Patch::Merge(patch),
        )
        .await
        .expect("annotated");
    }
}

/// The username of who asked.
fn requester(grant: &AccessGrant) -> &str {
    let requester = grant.spec.requester.as_ref();
    &requester.expect("stamped").username
}
