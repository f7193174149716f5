//! What people decide about the requests of others.

use keyloan::api::{AccessDecision, AccessGrant};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::World;

/// A decision as somebody writes it.
pub struct Say(Value);

impl Say {
    /// Yes, to the terms as the grant's status shows them.
    pub fn approve(grant: &AccessGrant) -> Self {
        let digest = grant.status.as_ref().and_then(|s| s.digest.clone());
        Self::about(grant, "Approve").with("digest", json!(digest))
    }

    pub fn deny(grant: &AccessGrant) -> Self {
        Self::about(grant, "Deny")
    }

    pub fn revoke(grant: &AccessGrant) -> Self {
        Self::about(grant, "Revoke")
    }

    fn about(grant: &AccessGrant, decision: &str) -> Self {
        Self(json!({ "grant": grant.name_any(), "grantUid": grant.uid(), "decision": decision }))
    }

    /// The same, with a member of the spec set.
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.0[member] = value;
        self
    }
}

impl World {
    /// Somebody decides, in person.
    pub async fn decide(&self, who: &str, grant: &AccessGrant, say: Say) -> AccessDecision {
        self.try_to_decide(who, grant, say).await.expect("decided")
    }

    /// Somebody tries to decide; the error is what the API server says.
    pub async fn try_to_decide(
        &self,
        who: &str,
        grant: &AccessGrant,
        say: Say,
    ) -> Result<AccessDecision, String> {
        let client = self.cluster.client(who).await.expect("a client");
        self.try_to_decide_as(client, grant, say).await
    }

    /// The same for the person of this client.
    pub async fn try_to_decide_as(
        &self,
        client: Client,
        grant: &AccessGrant,
        Say(spec): Say,
    ) -> Result<AccessDecision, String> {
        let mut decision = json!({
            "apiVersion": "keyloan.dev/v1alpha1",
            "kind": "AccessDecision",
            "metadata": { "generateName": "decision-", "namespace": grant.namespace() },
            "spec": spec,
        });
        self.sign(&client, &mut decision).await;
        let api: Api<AccessDecision> = Api::namespaced(client, &grant.namespace().expect("one"));
        let decision = serde_json::from_value(decision).expect("a decision");
        let made = api.create(&PostParams::default(), &decision).await;
        made.map_err(|error| match error {
            kube::Error::Api(refusal) => refusal.message,
            other => other.to_string(),
        })
    }
}
