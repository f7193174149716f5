//! An export makes the same objects again: by the chart keyloan-config with the real helm, and by what Terraform's provider would apply.

use keyloan::api::{AccessFlow, OnePasswordIntegration};
use keyloan::desk::export::clean;
use keyloan_cluster::{Chart, Helm, apply_yaml};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, ValidationDirective};
use serde_json::{Value, json};

use super::program::{ended, start};
use crate::world::{PLATFORM, World};

/// As Flux, Argo CD by label, and people have made them. The last flow has texts that YAML, templates and HCL could read as something else,
/// and the name of another one.
const OBJECTS: &str = r##"
apiVersion: keyloan.dev/v1alpha1
kind: OnePasswordIntegration
metadata:
  name: prod
  namespace: keyloan
  labels: {argocd.argoproj.io/instance: platform, team: platform}
spec:
  auth: {serviceAccountToken: {secretRef: {name: op-token}}}
  plan: Business
  limits: {maxLinkLifetime: 1d}
---
apiVersion: keyloan.dev/v1alpha1
kind: AccessFlow
metadata:
  name: databases
  namespace: keyloan
  labels: {kustomize.toolkit.fluxcd.io/name: platform, kustomize.toolkit.fluxcd.io/namespace: flux-system}
  annotations: {kustomize.toolkit.fluxcd.io/prune: disabled, example.com/ticket: INC-7}
spec:
  integration: prod
  namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: Exists}]}}
  requesters: [{kind: Group, name: engineering}, {kind: ServiceAccount, name: pipeline, namespace: ci}]
  items: {include: [{vault: Infra, titles: ["db *"]}], exclude: [{vault: Infra, tags: [break-glass]}]}
  grant: {maxDuration: 8h, defaultDuration: 4h}
  approval:
    mode: AllOf
    groups: [{name: platform, approvers: [{kind: ResourceOwner}], required: 2}]
  timeframe: {days: [Mon, Fri], from: "09:00", to: "18:00", timeZone: Europe/Berlin}
---
apiVersion: keyloan.dev/v1alpha1
kind: AccessFlow
metadata: {name: databases, namespace: team-b}
spec:
  integration: "123"
  requesters: [{kind: Group, name: "on"}, {kind: Group, name: "0x10"}, {kind: User, name: "~"}]
  items:
    include:
    - vault: "null"
      titles: ["yes", "1e3", "12:30:45", "2026-01-01", "{{ .Values.x }}", "${HOST}", "%{if}", "# no", "- no", "a: b", "'\"\\", " x ", "\u2028\u202e", "a\u0085b"]
  grant: {maxDuration: 2h}
  approval: {mode: None}
  accessDetails: "one\n---\nkind: Secret\n\n  two\t{{ end }}\n"
"##;

pub async fn what_is_exported_makes_the_same_objects_again(world: &World) {
    let helm = Helm::find().await.expect("helm");
    apply_yaml(&world.admin, OBJECTS).await.expect("applied");
    apply_label_as_argo_cd(world).await;

    let everywhere = &["export", "--all", "-A"];
    let stored = exported(world, everywhere, &["-o", "json"]).await;
    let stored: Value = serde_json::from_str(&stored).expect("JSON");
    let stored = stored["items"].as_array().expect("a list");
    let names: Vec<_> = stored.iter().map(place).collect();
    let expected = [
        "OnePasswordIntegration keyloan/prod",
        "AccessFlow keyloan/databases",
        "AccessFlow team-b/databases",
    ];
    assert_eq!(names, expected);
    let metadata = [
        json!({ "name": "prod", "namespace": "keyloan", "labels": { "team": "platform" } }),
        json!({ "name": "databases", "namespace": "keyloan", "annotations": { "example.com/ticket": "INC-7" } }),
        json!({ "name": "databases", "namespace": "team-b" }),
    ];
    for (object, metadata) in stored.iter().zip(metadata) {
        assert_eq!(object["metadata"], metadata);
    }

    for output in [
        &["--format", "helm"][..],
        &["--format", "helm", "-o", "json"],
    ] {
        let values = exported(world, everywhere, output).await;
        let mut made = rendered(&helm, &values).await;
        made.sort_by_key(|object| names.iter().position(|name| *name == place(object)));
        assert_eq!(made, *stored, "{values}");
    }
    helm_takes_over(world, &helm, everywhere).await;
    terraform_changes_nothing(world, everywhere).await;
    one_namespace_or_kind(world).await;
}

/// Where Argo CD tracks objects by a label, that label is all that it writes; as its field manager tells.
async fn apply_label_as_argo_cd(world: &World) {
    let flows: Api<AccessFlow> = Api::namespaced(world.admin.clone(), PLATFORM);
    let labels = json!({ "app.kubernetes.io/instance": "platform" });
    let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
    let params = PatchParams {
        field_manager: Some("argocd-controller".into()),
        ..PatchParams::default()
    };
    flows
        .patch("databases", &params, &patch)
        .await
        .expect("patched");
}

async fn exported(world: &World, command: &[&str], more: &[&str]) -> String {
    let line = [command, more].concat();
    ended(start(world, "admin", &line), &line).await.done()
}

/// The objects that the chart makes of these values, without its labels.
async fn rendered(helm: &Helm, values: &str) -> Vec<Value> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), values).expect("written");
    let folder = Chart::Config.folder().display().to_string();
    let values = format!("--values={}", file.path().display());
    let text = helm.run(&["template", "config", &folder, &values]).await;
    let text = text.unwrap_or_else(|error| panic!("{error}"));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let objects = objects.into_iter().filter(Value::is_object);
    objects.map(clean).collect()
}

/// Helm makes the objects its own; what is exported stays the same to the letter.
async fn helm_takes_over(world: &World, helm: &Helm, all: &[&str]) {
    let before = exported(world, all, &["--format", "helm"]).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &before).expect("written");
    let folder = Chart::Config.folder().display().to_string();
    let values = format!("--values={}", file.path().display());
    let kubeconfig = format!(
        "--kubeconfig={}",
        world.cluster.kubeconfig("admin").display()
    );
    let line = [
        "install",
        "config",
        &folder,
        &values,
        &kubeconfig,
        "--namespace=keyloan",
        "--take-ownership",
        // Argo CD has its own value in a label of Helm's.
        "--force-conflicts",
    ];
    let said = helm.run(&line).await;
    said.unwrap_or_else(|error| panic!("{error}"));
    let flows: Api<AccessFlow> = Api::namespaced(world.admin.clone(), PLATFORM);
    let flow = flows.get("databases").await.expect("there");
    let labels = flow.metadata.labels.expect("Helm's");
    assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm");
    let after = exported(world, all, &["--format", "helm"]).await;
    assert_eq!(after, before);
}

/// Terraform's provider applies each manifest by server-side apply, and plans a change where the result differs from the manifest. So each
/// manifest fits the schema, and has all that is stored.
async fn terraform_changes_nothing(world: &World, all: &[&str]) {
    let module = exported(world, all, &["--format", "terraform"]).await;
    let module: Value = hcl::from_str(&module).expect("HCL");
    let resources = module["resource"]["kubernetes_manifest"].as_object();
    let resources = resources.expect("resources");
    let labels: Vec<_> = resources.keys().map(String::as_str).collect();
    let expected = [
        "accessflow_keyloan__databases",
        "accessflow_team-b__databases",
        "onepasswordintegration_prod",
    ];
    assert_eq!(labels, expected);
    for resource in resources.values() {
        let manifest = &resource["manifest"];
        let api = api_of(world, manifest);
        let name = manifest["metadata"]["name"].as_str().expect("a name");
        let before = api.get(name).await.expect("there");
        for _ in 0..2 {
            let params = PatchParams {
                field_manager: Some("Terraform".into()),
                field_validation: Some(ValidationDirective::Strict),
                ..PatchParams::default()
            };
            let applied = api.patch(name, &params, &Patch::Apply(manifest)).await;
            let applied = applied.expect("applied without a conflict");
            assert_eq!(applied.metadata.generation, before.metadata.generation);
            assert_eq!(applied.data["spec"], manifest["spec"]);
        }
        let computed = json!(["metadata.labels", "metadata.annotations"]);
        assert_eq!(resource["computed_fields"], computed);
    }
    let json = exported(world, all, &["--format", "terraform", "-o", "json"]).await;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let labels = json["resource"]["kubernetes_manifest"].as_object();
    assert!(labels.expect("resources").keys().eq(resources.keys()));
}

fn api_of(world: &World, manifest: &Value) -> Api<DynamicObject> {
    let resource = match manifest["kind"] == "AccessFlow" {
        true => ApiResource::erase::<AccessFlow>(&()),
        false => ApiResource::erase::<OnePasswordIntegration>(&()),
    };
    let namespace = manifest["metadata"]["namespace"].as_str().expect("one");
    Api::namespaced_with(world.admin.clone(), namespace, &resource)
}

async fn one_namespace_or_kind(world: &World) {
    let list = async |line: &[&str]| -> Vec<String> {
        let list = exported(world, line, &["-o", "json"]).await;
        let list: Value = serde_json::from_str(&list).expect("JSON");
        match list["items"].as_array() {
            Some(items) => items.iter().map(place).collect(),
            None => vec![place(&list)],
        }
    };
    let here = list(&["export", "--all", "-n", PLATFORM]).await;
    let expected = [
        "OnePasswordIntegration keyloan/prod",
        "AccessFlow keyloan/databases",
    ];
    assert_eq!(here, expected);
    let flows = list(&["export", "flow", "--all", "-n", PLATFORM]).await;
    assert_eq!(flows, ["AccessFlow keyloan/databases"]);
    let line = ["export", "--all", "-n", "default"];
    let nothing = ended(start(world, "admin", &line), &line).await;
    assert_eq!(nothing.err, "note: there is nothing to export\n");
    assert_eq!(nothing.done().trim(), "");
    for (line, says) in [
        (&["export"][..], "required"),
        (&["export", "flow"], "required"),
        (
            &["export", "flow", "databases", "--all"],
            "cannot be used with",
        ),
        (
            &["export", "flow", "databases", "-A"],
            "cannot be used with",
        ),
        (&["export", "-A"], "required"),
    ] {
        let told = ended(start(world, "admin", line), line).await.failed(2);
        assert!(told.contains(says), "{line:?}: {told}");
    }
}

fn place(object: &Value) -> String {
    let metadata = &object["metadata"];
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    format!("{} {namespace}/{name}", text(&object["kind"]))
}
