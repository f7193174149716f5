//! What hinders the operator from writing something, as anybody might install it: a quota, a policy, a webhook that is down.

use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{GRANT_UID_LABEL, LINK_TYPE, SECRET_LABEL};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::waits::{A_MOMENT, patiently};
use super::{LINKS, World};

/// The uid of a grant that there is not.
const NO_GRANT: &str = "00000000-0000-4000-8000-000000000000";

/// Objects that hinder, and by what that is seen.
pub struct Hindrance {
    objects: Vec<Value>,
    /// The quota's status is written by a controller that does not run here.
    status: Option<Value>,
    acts_on_secrets: bool,
}

impl Hindrance {
    /// A quota of no Secret in the namespace of links.
    pub fn quota() -> Self {
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": { "name": "few-secrets", "namespace": LINKS },
            "spec": { "hard": { "count/secrets": "0" } },
        });
        Self {
            objects: vec![quota],
            status: Some(json!({ "status": {
                "hard": { "count/secrets": "0" }, "used": { "count/secrets": "0" },
            } })),
            acts_on_secrets: true,
        }
    }

    /// A policy by which each of these that is created, or changed, has to fulfil this expression; in the namespace of links where it is
    /// about what is there.
    pub fn policy(
        group: &str,
        resource: &str,
        operation: &str,
        expression: &str,
        message: &str,
    ) -> Self {
        let name = "hindrance";
        let version = if group == "keyloan.dev" {
            "v1alpha1"
        } else {
            "v1"
        };
        let mut constraints = json!({ "resourceRules": [{
            "apiGroups": [group], "apiVersions": [version], "resources": [resource], "operations": [operation],
        }] });
        if group != "keyloan.dev" {
            constraints["namespaceSelector"] =
                json!({ "matchLabels": { "kubernetes.io/metadata.name": LINKS } });
        }
        let of = |kind: &str, spec: Value| {
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": { "name": name }, "spec": spec,
            })
        };
        let validation = json!({ "expression": expression, "messageExpression": message });
        let spec = json!({ "matchConstraints": constraints, "validations": [validation] });
        let binding = json!({ "policyName": name, "validationActions": ["Deny"] });
        Self {
            objects: vec![
                of("ValidatingAdmissionPolicy", spec),
                of("ValidatingAdmissionPolicyBinding", binding),
            ],
            status: None,
            acts_on_secrets: false,
        }
    }

    /// A webhook for Secrets in the namespace of links that nobody answers.
    pub fn webhook_down() -> Self {
        let webhook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": "down" },
            "webhooks": [{
                "name": "down.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "clientConfig": { "url": "https://127.0.0.1:1/" },
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"] }],
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": LINKS } },
            }],
        });
        Self {
            objects: vec![webhook],
            status: None,
            acts_on_secrets: true,
        }
    }
}

impl World {
    /// Installs what hinders; returns when it does.
    pub async fn hinder(&self, hindrance: &Hindrance) {
        for object in &hindrance.objects {
            let (api, name) = self.api_of(object);
            let params = PatchParams::apply("somebody").force();
            let applied = api.patch(&name, &params, &Patch::Apply(object)).await;
            applied.expect("applied");
            if let Some(status) = &hindrance.status {
                let patch = Patch::Merge(status);
                let written = api
                    .patch_status(&name, &PatchParams::default(), &patch)
                    .await;
                written.expect("written");
            }
        }
        self.until_hindered(hindrance, true).await;
    }

    /// Removes the hindrance; returns when it no longer has an effect.
    pub async fn mend(&self, hindrance: &Hindrance) {
        for object in &hindrance.objects {
            let (api, name) = self.api_of(object);
            api.delete(&name, &DeleteParams::default())
                .await
                .expect("deleted");
        }
        self.until_hindered(hindrance, false).await;
    }

    async fn until_hindered(&self, hindrance: &Hindrance, wanted: bool) {
        if !hindrance.acts_on_secrets {
            self.cluster.until_in_force().await.expect("in force");
            return;
        }
        let secrets: Api<Secret> = Api::namespaced(self.as_operator().await, LINKS);
        let name = keyloan::api::link_name(NO_GRANT);
        let secret = json!({
            "metadata": { "name": name, "labels": { SECRET_LABEL: "link", GRANT_UID_LABEL: NO_GRANT } },
            "type": LINK_TYPE,
        });
        let secret: Secret = serde_json::from_value(secret).expect("a Secret");
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let known = async {
            while secrets.create(&dry_run, &secret).await.is_err() != wanted {
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        patiently("a hindrance to come or go", known).await;
    }

    fn api_of(&self, object: &Value) -> (Api<DynamicObject>, String) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let version = text("/apiVersion").expect("a version");
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = text("/kind").expect("a kind");
        let kind = kube::core::GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk(&kind);
        let client = self.admin.clone();
        let api = match text("/metadata/namespace") {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        (api, text("/metadata/name").expect("a name").to_owned())
    }
}
