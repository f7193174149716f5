//! A policy, as anybody might install one, that refuses Secrets and quotes what is in them.

use data_encoding::BASE64;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use serde_json::json;

use super::waits::{A_MOMENT, patiently};
use super::{TEAM, World};

const NAME: &str = "echo-secrets";

/// What is in the Secret by which it is seen whether the policy is in force.
const URL: &[u8] = b"https://probe.example";

impl World {
    /// What each echo begins with. In the policy it stands in two parts.
    pub const ECHOED: &str = "planted-echo";

    /// Has every new Secret with a URL refused that is to be stored, and the URL quoted. One that is only tried passes.
    pub async fn echo_secrets(&self) {
        let policy = json!({
            "metadata": { "name": NAME },
            "spec": {
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["CREATE"],
                }] },
                "validations": [{
                    "expression": "(has(request.dryRun) && request.dryRun) || !('url' in object.data)",
                    "messageExpression": "'planted' + '-echo ' + object.data['url']",
                    "reason": "Forbidden",
                }],
            },
        });
        let binding = json!({
            "metadata": { "name": NAME },
            "spec": { "policyName": NAME, "validationActions": ["Deny"] },
        });
        self.policies()
            .create(
                &PostParams::default(),
                &serde_json::from_value(policy).expect("a policy"),
            )
            .await
            .expect("created");
        self.bindings_of_policies()
            .create(
                &PostParams::default(),
                &serde_json::from_value(binding).expect("a binding"),
            )
            .await
            .expect("created");
        self.until_echoed(true).await;
    }

    /// Takes that back.
    pub async fn stop_echoing_secrets(&self) {
        let parameters = DeleteParams::default();
        self.bindings_of_policies()
            .delete(NAME, &parameters)
            .await
            .expect("deleted");
        self.policies()
            .delete(NAME, &parameters)
            .await
            .expect("deleted");
        self.until_echoed(false).await;
    }

    async fn until_echoed(&self, wanted: bool) {
        let secrets: Api<Secret> = Api::namespaced(self.admin.clone(), TEAM);
        let probe = Secret {
            metadata: ObjectMeta {
                name: Some("probe".into()),
                ..ObjectMeta::default()
            },
            data: Some([("url".to_owned(), ByteString(URL.to_vec()))].into()),
            ..Secret::default()
        };
        // In a policy's eyes the data of a Secret is as it is on the wire.
        let echo = format!("{} {}", Self::ECHOED, BASE64.encode(URL));
        let known = async {
            loop {
                let answer = secrets.create(&PostParams::default(), &probe).await;
                if answer.is_ok() {
                    let gone = secrets.delete("probe", &DeleteParams::default()).await;
                    gone.expect("deleted");
                }
                let echoed = answer.is_err_and(|error| error.to_string().contains(&echo));
                if echoed == wanted {
                    return;
                }
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        patiently("a policy", known).await;
    }

    fn policies(&self) -> Api<ValidatingAdmissionPolicy> {
        Api::all(self.admin.clone())
    }

    fn bindings_of_policies(&self) -> Api<ValidatingAdmissionPolicyBinding> {
        Api::all(self.admin.clone())
    }
}
