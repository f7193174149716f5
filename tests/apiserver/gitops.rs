//! The repository layout of `examples/gitops`: the real kubectl builds it, and the API server accepts
//! what it builds.

use std::path::{Path, PathBuf};
use std::process::Command;

use keyloan_cluster::Binaries;
use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::objects::yaml_files;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitops")
}

/// The objects that `kubectl kustomize` makes of a folder.
async fn build(folder: &Path) -> Vec<Value> {
    let kubectl = Binaries::find().await.unwrap().kubectl();
    let built = Command::new(kubectl)
        .arg("kustomize")
        .arg(folder)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{}: {errors}", folder.display());
    let text = String::from_utf8(built.stdout).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} was built"))
}

fn name(object: &Value) -> &Value {
    &object["metadata"]["name"]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_what_the_layout_builds() {
    let cluster = Cluster::start().await;
    let admin = cluster.person("admin").await;
    for name in ["keyloan", "team-a"] {
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        admin.create(&namespace).await.unwrap();
    }
    let mut objects = Vec::new();
    for folder in ["platform/production", "platform/staging"] {
        let built = build(&examples().join(folder)).await;
        assert_eq!(built.len(), 3, "{folder}: an integration and two flows");
        let integration = of_kind(&built, "OnePasswordIntegration");
        let flow = of_kind(&built, "AccessFlow");
        assert_eq!(&flow["spec"]["integration"], name(integration), "{folder}");
        objects.extend(built);
    }
    for folder in ["examples/gitops/team-a", "examples/gitops/team-a/requests"] {
        objects.extend(yaml_files(folder).into_iter().map(|(_, object)| object));
    }
    assert!(objects.iter().any(|object| object["kind"] == "AccessGrant"));
    for object in objects {
        let answer = admin.dry_run_apply(&object).await;
        answer.unwrap_or_else(|refusal| panic!("{object}: {refusal:?}"));
    }
    cluster.shutdown().await;
}

/// An overlay that renames everything and makes the Secret itself. What the base says of references
/// counts for the overlay's objects, too.
const OVERLAY: &str = "
namePrefix: staging-
nameSuffix: -eu
namespace: keyloan-staging
resources: [../base, grant.yaml]
secretGenerator:
- name: op-token
  literals: [token=ops_REPLACE_ME]
  options: {labels: {keyloan.dev/secret: token, keyloan.dev/integration: prod}}
";

const GRANT: &str = "
apiVersion: keyloan.dev/v1alpha1
kind: AccessGrant
metadata: {name: db-password}
spec:
  integration: {name: prod}
  item: {vault: Infra, item: db password}
  flow: databases
";

async fn build_overlay(base: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("base", base), ("overlay", OVERLAY)] {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("kustomization.yaml"), text).unwrap();
    }
    let base = examples().join("platform/base");
    for name in ["integration.yaml", "flow.yaml", "keyloan-references.yaml"] {
        std::fs::copy(base.join(name), folder.path().join("base").join(name)).unwrap();
    }
    let overlay = folder.path().join("overlay");
    std::fs::write(overlay.join("grant.yaml"), GRANT).unwrap();
    build(&overlay).await
}

#[tokio::test]
async fn kustomize_renames_references_together_with_what_they_name() {
    let base = std::fs::read_to_string(examples().join("platform/base/kustomization.yaml"));
    let base = base.unwrap();
    let built = build_overlay(&base).await;
    let [integration, flow, grant, secret] = [
        "OnePasswordIntegration",
        "AccessFlow",
        "AccessGrant",
        "Secret",
    ]
    .map(|kind| of_kind(&built, kind));
    assert_eq!(name(integration), "staging-prod-eu");
    let token = &integration["spec"]["auth"]["serviceAccountToken"]["secretRef"]["name"];
    assert_eq!(token, name(secret));
    assert_ne!(
        token, "op-token",
        "its name ends with a hash of its content"
    );
    let label = &secret["metadata"]["labels"]["keyloan.dev/integration"];
    assert_eq!(label, name(integration));
    assert_eq!(&flow["spec"]["integration"], name(integration));
    assert_eq!(&grant["spec"]["integration"]["name"], name(integration));
    assert_eq!(&grant["spec"]["flow"], name(flow));

    // The check can fail: this is what Kustomize does without the file.
    let without = base.replace("configurations:\n- keyloan-references.yaml\n", "");
    assert_ne!(without, base);
    let built = build_overlay(&without).await;
    let flow = of_kind(&built, "AccessFlow");
    assert_eq!(flow["spec"]["integration"], "prod");
}
