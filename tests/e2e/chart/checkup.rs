//! `kubectl keyloan doctor` where helm has installed the charts: it says that all is well, and names each thing that somebody then breaks.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::RoleBinding;
use keyloan_cluster::{OPERATOR_NAMESPACE, apply_yaml};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::chart::installed::Installed;
use crate::world::{World, needs_approval};

const LINKS: &str = "keyloan-system-links";

const WEBHOOK: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: nosy}
webhooks:
- name: everything.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  clientConfig: {url: "https://127.0.0.1:1/"}
  rules: [{apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE], resources: [secrets]}]
"#;

const QUOTA: &str = r#"
apiVersion: v1
kind: ResourceQuota
metadata: {name: few, namespace: keyloan-system-links}
spec: {hard: {count/secrets: "1"}}
"#;

const NOTIFIER: &str = r#"
apiVersion: keyloan.dev/v1alpha1
kind: AccessNotifier
metadata: {name: oncall, namespace: keyloan}
spec: {secretRef: {name: not-there}, slack: {}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_checkup_finds_what_is_broken_and_nothing_else() {
    let installed = Installed::from(|chart| chart.folder(), json!({})).await;
    let world = &installed.world;
    world.integration("prod", "lender").await;
    let approval = needs_approval("AnyOf", &[("security", "security", 1)]);
    world.flow("by-approval", approval).await;
    // As the Deployment's controller and a kubelet would.
    let status = json!({ "status": { "replicas": 2, "readyReplicas": 2 } });
    let deployments: Api<Deployment> = Api::namespaced(world.admin.clone(), OPERATOR_NAMESPACE);
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&status));
    let patched = deployments.patch_status("keyloan", &parameters, &patch);
    patched.await.expect("patched");

    let healthy = checkup(world, "admin").await;
    assert_eq!(healthy.of("problem"), [""; 0], "{}", healthy.text);
    assert_eq!(healthy.of("unknown"), [""; 0], "{}", healthy.text);
    assert!(healthy.succeeded);

    // Who may read nothing is told so, and it is no problem of the installation's.
    let stranger = checkup(world, "alice").await;
    assert_eq!(stranger.of("problem"), [""; 0], "{}", stranger.text);
    let unknown = stranger.of("unknown");
    for check in ["policies", "identity", "integrations", "flows", "notifiers"] {
        assert!(unknown.contains(&check), "{check}: {}", stranger.text);
    }

    break_it(world).await;
    let ill = checkup(world, "admin").await;
    let problems = [
        "operator",
        "rights",
        "room for links",
        "webhook nosy/everything.example.com",
        "integration keyloan/prod",
        "notifier keyloan/oncall",
    ];
    assert_eq!(ill.of("problem"), problems, "{}", ill.text);
    assert!(!ill.succeeded);
    let rights = ill.message("rights");
    assert!(
        rights.contains("secrets in keyloan-system-links"),
        "{rights}"
    );
}

/// Mistakes of an administrator.
async fn break_it(world: &World) {
    let (parameters, none) = (
        PatchParams::default(),
        json!({ "status": { "readyReplicas": 0 } }),
    );
    let deployments: Api<Deployment> = Api::namespaced(world.admin.clone(), OPERATOR_NAMESPACE);
    let none = Patch::Merge(&none);
    let patched = deployments.patch_status("keyloan", &parameters, &none);
    patched.await.expect("patched");
    world.token("prod", "ops_nonsense").await;
    world.until_integration("prod", "False").await;
    let bindings: Api<RoleBinding> = Api::namespaced(world.admin.clone(), LINKS);
    let gone = bindings
        .delete("keyloan-links", &DeleteParams::default())
        .await;
    gone.expect("deleted");
    for yaml in [WEBHOOK, QUOTA, NOTIFIER] {
        apply_yaml(&world.admin, yaml).await.expect("applied");
    }
    // As the quota's controller would.
    let full =
        json!({ "status": { "hard": { "count/secrets": "1" }, "used": { "count/secrets": "1" } } });
    let quotas =
        Api::<k8s_openapi::api::core::v1::ResourceQuota>::namespaced(world.admin.clone(), LINKS);
    let full = Patch::Merge(&full);
    let counted = quotas.patch_status("few", &parameters, &full);
    counted.await.expect("counted");
}

struct Checkup {
    findings: Vec<Value>,
    text: String,
    succeeded: bool,
}

impl Checkup {
    /// The checks with this state.
    fn of(&self, state: &str) -> Vec<&str> {
        let found = self.findings.iter().filter(|found| found["state"] == state);
        found.filter_map(|found| found["check"].as_str()).collect()
    }

    fn message(&self, check: &str) -> &str {
        let found = self.findings.iter().find(|found| found["check"] == check);
        found
            .and_then(|found| found["message"].as_str())
            .expect("found")
    }
}

async fn checkup(world: &World, who: &str) -> Checkup {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-keyloan"));
    command
        .arg("--kubeconfig")
        .arg(world.cluster.kubeconfig(who))
        .args(["doctor", "-o", "json"]);
    let ran = command.output().await.expect("the program");
    let text = String::from_utf8(ran.stdout).expect("text");
    let read: Value = serde_json::from_str(&text).expect("JSON");
    Checkup {
        findings: read["findings"].as_array().expect("findings").clone(),
        text,
        succeeded: ran.status.success(),
    }
}
