//! A cluster with our kinds and policies, and the people in it.

use std::time::Duration;

use keyloan::manifests;
use serde_json::{Value, json};

use super::link::LINKS;
use crate::support::cluster::Cluster;
use crate::support::objects::{Person, Refusal};

/// Everybody is who they say they are; the operator's ServiceAccount is the one that the policies name.
pub struct Boundary {
    pub cluster: Cluster,
    pub admin: Person,
    pub operator: Person,
    pub alice: Person,
    pub bob: Person,
    pub erin: Person,
    pub mallory: Person,
    /// A ServiceAccount that is not the operator's.
    pub pipeline: Person,
}

impl Boundary {
    /// With the validating policies, and without the mutating ones.
    pub async fn start() -> Self {
        let cluster = Cluster::start().await;
        let boundary = Self {
            admin: cluster.person("admin").await,
            operator: cluster.service_account("keyloan-system", "keyloan").await,
            pipeline: cluster.service_account("ci", "pipeline").await,
            alice: cluster.person("alice").await,
            bob: cluster.person("bob").await,
            erin: cluster.person("erin").await,
            mallory: cluster.person("mallory").await,
            cluster,
        };
        let links =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": LINKS } });
        boundary.admin.create(&links).await.unwrap();
        boundary
            .install(|name| !name.ends_with("-mutating.yaml"))
            .await;
        boundary.give_everybody_every_right().await;
        boundary.until_refused(&unsigned_grant("canary")).await;
        boundary.until_refused(&unsigned_decision("canary")).await;
        boundary
    }

    pub async fn install_mutating(&self) {
        self.install(|name| name.ends_with("-mutating.yaml")).await;
        self.until(&unsigned_grant("canary"), |answer| answer.is_ok())
            .await;
        self.until(&unsigned_decision("canary"), |answer| answer.is_ok())
            .await;
    }

    /// The policies of a cluster where an e-mail address is found elsewhere.
    pub async fn install_with_email(&self, expression: &str) {
        let boundary = manifests::Boundary {
            email: expression.into(),
            ..manifests::Boundary::default()
        };
        for file in manifests::files(&boundary).unwrap() {
            for object in file
                .objects
                .iter()
                .filter(|_| file.name.starts_with("policy-identity"))
            {
                self.admin.apply(object, "test").await.unwrap();
            }
        }
    }

    /// The policies of a cluster where somebody may restore records, once they let them create this one.
    pub async fn install_with_restorer(&self, username: &str, person: &Person, record: &Value) {
        let boundary = manifests::Boundary {
            restorers: vec![username.into()],
            ..manifests::Boundary::default()
        };
        let files = manifests::files(&boundary).unwrap();
        let policies = files
            .iter()
            .filter(|file| file.name == "policy-records.yaml");
        for object in policies.flat_map(|file| &file.objects) {
            self.admin.apply(object, "test").await.unwrap();
        }
        for _ in 0..300 {
            if person.dry_run(record).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{username} never got to restore records");
    }

    pub async fn remove_mutating(&self) {
        for object in objects(|name| name.ends_with("-mutating.yaml")) {
            self.admin.delete(&object).await.unwrap();
        }
        self.until_refused(&unsigned_grant("canary")).await;
        self.until_refused(&unsigned_decision("canary")).await;
    }

    /// The API server checks the expressions against the schemas, and reports what cannot be.
    pub async fn policies_are_well_typed(&self) {
        for policy in objects(|name| !name.ends_with("-mutating.yaml"))
            .into_iter()
            .filter(|object| object["kind"] == "ValidatingAdmissionPolicy")
        {
            let checked = self.once_checked(&policy).await;
            let warnings = &checked["status"]["typeChecking"]["expressionWarnings"];
            assert!(
                warnings.is_null(),
                "{}: {warnings:#}",
                policy["metadata"]["name"]
            );
        }
    }

    async fn once_checked(&self, policy: &Value) -> Value {
        for _ in 0..300 {
            let policy = self.admin.get(policy).await.unwrap();
            if policy["status"]["observedGeneration"] == policy["metadata"]["generation"] {
                return policy;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} was never type-checked", policy["metadata"]["name"]);
    }

    async fn install(&self, wanted: impl Fn(&str) -> bool) {
        for object in objects(wanted) {
            self.admin.apply(&object, "test").await.unwrap();
        }
    }

    /// Every verb but `revoke`, which stands for the right to delete other people's grants, and `get` on Secrets, which
    /// stands for the right to use a token.
    async fn give_everybody_every_right(&self) {
        let everybody = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": { "name": "everything" },
            "rules": [{
                "apiGroups": ["keyloan.dev"],
                "resources": ["*"],
                "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
            }, {
                "apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "update", "patch", "delete"],
            }, {
                "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"],
                "verbs": ["get", "create", "update", "patch", "delete", "bind", "escalate"],
            }],
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": "everything" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "everything" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated" }],
        });
        self.admin.apply(&everybody, "test").await.unwrap();
        self.admin.apply(&binding, "test").await.unwrap();
    }

    async fn until_refused(&self, object: &Value) {
        self.until(object, |answer| {
            answer
                .as_ref()
                .is_err_and(|refusal| refusal.is_by("keyloan-identity:"))
        })
        .await;
    }

    /// Policies come into force, and end, a moment after they are written.
    async fn until(&self, object: &Value, there: impl Fn(&Result<Value, Refusal>) -> bool) {
        let mut last = None;
        for _ in 0..300 {
            let answer = self.alice.dry_run(object).await;
            if there(&answer) {
                return;
            }
            last = Some(answer);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the policies did not come into force: {last:?}");
    }
}

fn objects(wanted: impl Fn(&str) -> bool) -> Vec<Value> {
    let files = manifests::files(&manifests::Boundary::default()).unwrap();
    files
        .into_iter()
        .filter(|file| wanted(&file.name))
        .flat_map(|file| file.objects)
        .collect()
}

pub fn unsigned_grant(name: &str) -> Value {
    json!({
        "apiVersion": "keyloan.dev/v1alpha1",
        "kind": "AccessGrant",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "integration": { "name": "prod" },
            "item": { "vault": "Infra", "item": "db password" },
        },
    })
}

pub fn unsigned_decision(name: &str) -> Value {
    json!({
        "apiVersion": "keyloan.dev/v1alpha1",
        "kind": "AccessDecision",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "grant": "alice-db",
            "grantUid": "5af1b1e5-253d-4248-bfcb-ecf3b5ae084b",
            "decision": "Deny",
        },
    })
}

pub fn alices_grant(name: &str) -> Value {
    let signature = json!({ "username": "alice@example.com", "groups": ["engineering"], "email": "alice@example.com" });
    signed(unsigned_grant(name), signature)
}

pub fn bobs_decision(name: &str) -> Value {
    let signature = json!({ "username": "bob@example.com", "groups": ["platform-owners"], "email": "bob@example.com" });
    signed(unsigned_decision(name), signature)
}

/// A grant or a decision that says who made it.
pub fn signed(mut object: Value, signature: Value) -> Value {
    let field = signature_of(&object);
    object["spec"][field] = signature;
    object
}

/// Where an object says who made it.
pub fn signature_of(object: &Value) -> &'static str {
    if object["kind"] == "AccessGrant" {
        "requester"
    } else {
        "approver"
    }
}

pub fn record(name: &str) -> Value {
    let now = "2026-11-23T12:00:00Z";
    let object = json!({ "namespace": "default", "name": "prod", "uid": "1" });
    json!({
        "apiVersion": "keyloan.dev/v1alpha1",
        "kind": "AccessRecord",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "grant": object,
            "requester": { "username": "alice@example.com" },
            "digest": "sha256:00",
            "terms": {
                "integration": object, "flow": object, "flowGeneration": 1, "account": "a",
                "vault": { "id": "v", "title": "Infra" }, "item": { "id": "i", "title": "db password" },
                "itemUpdatedAt": now, "recipients": ["alice@example.com"], "duration": "1h",
                "viewOnce": false, "linkLifetime": "1h", "renewal": "Never",
            },
        },
    })
}

pub fn integration(name: &str) -> Value {
    json!({
        "apiVersion": "keyloan.dev/v1alpha1",
        "kind": "OnePasswordIntegration",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "auth": { "serviceAccountToken": { "secretRef": { "name": "op-token" } } },
            "plan": "Business",
        },
    })
}

pub fn flow(name: &str) -> Value {
    json!({
        "apiVersion": "keyloan.dev/v1alpha1",
        "kind": "AccessFlow",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "integration": "prod",
            "requesters": [{ "kind": "Group", "name": "engineering" }],
            "items": { "include": [{ "vault": "Infra" }] },
            "grant": { "maxDuration": "1h" },
            "approval": { "mode": "None" },
        },
    })
}
