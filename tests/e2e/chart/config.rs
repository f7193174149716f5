//! The chart keyloan-config: the objects that it makes of values, how value files merge, and which mistakes helm reports.

use std::fs;
use std::process::Command;

use keyloan_cluster::{Chart, Helm};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::chart::rendering::{by_name, objects, render};
use crate::chart::schemas::{conforms, write_schemas};

/// The values of the page about the chart.
fn example() -> Value {
    let page = include_str!("../../../docs/config-chart.md");
    let (_, values) = page.split_once("```yaml\n# values.yaml\n").unwrap();
    let (values, _) = values.split_once("```").unwrap();
    serde_saphyr::from_str(values).unwrap()
}

/// The objects that the chart renders with value files, each merged into those before.
async fn rendered(files: &[Value]) -> Result<Vec<Value>, String> {
    let helm = Helm::find().await.unwrap();
    let files: Vec<_> = files.iter().map(file).collect();
    let files = files
        .iter()
        .map(|file| format!("--values={}", file.path().display()));
    let files: Vec<_> = files.collect();
    let arguments: Vec<_> = files.iter().map(String::as_str).collect();
    let text = render(&helm, Chart::Config, &arguments).await?;
    Ok(objects(&text))
}

fn file(values: &Value) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    // Helm reads JSON as YAML, in which U+0085 is the end of a line.
    let text = values.to_string().replace('\u{85}', "\\u0085");
    fs::write(file.path(), text).unwrap();
    file
}

fn flow() -> Value {
    json!({
        "integration": "prod",
        "requesters": [{ "kind": "Group", "name": "engineering" }],
        "items": { "include": [{ "vault": "Infra" }] },
        "grant": { "maxDuration": "2h" },
        "approval": { "mode": "None" },
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut values = json!({ "flows": { "oncall": { "spec": flow() } } });
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    values.pointer_mut(parent).unwrap()[member] = value;
    values
}

#[tokio::test]
async fn values_become_objects_whose_specs_are_the_kinds_own() {
    let values = example();
    let all = by_name(rendered(std::slice::from_ref(&values)).await.unwrap());
    let names: Vec<_> = all.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "AccessFlow keyloan databases",
            "OnePasswordIntegration keyloan prod",
            "ResourceQuota team-a keyloan",
            "ResourceQuota team-b keyloan",
            "RoleBinding keyloan platform-administers",
            "RoleBinding team-a engineers-ask",
            "RoleBinding team-a platform-decides",
            "RoleBinding team-b engineers-ask",
            "RoleBinding team-b platform-decides",
        ]
    );
    let spec = |of: &str| &all[of]["spec"];
    let given = |of: &str| values.pointer(of).unwrap();
    for (object, value) in [
        ("AccessFlow keyloan databases", "/flows/databases/spec"),
        (
            "OnePasswordIntegration keyloan prod",
            "/integrations/prod/spec",
        ),
    ] {
        assert_eq!(spec(object), given(value), "{object}");
    }
    let hard = json!({ "count/accessgrants.keyloan.dev": "500", "count/accessdecisions.keyloan.dev": "1000" });
    let quota = spec("ResourceQuota team-b keyloan");
    assert_eq!(quota["hard"], hard, "as the API server stores it");
    let ask = &all["RoleBinding team-b engineers-ask"];
    assert_eq!(ask["roleRef"]["kind"], "ClusterRole");
    assert_eq!(ask["roleRef"]["name"], "keyloan-requester");
    let group =
        json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "engineering" });
    assert_eq!(ask["subjects"], json!([group]));
    for (name, object) in &all {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], "keyloan-config", "{name}");
        assert_eq!(labels["app.kubernetes.io/instance"], "keyloan-config");
        assert_eq!(labels["helm.sh/chart"], "keyloan-config-0.1.0");
    }
}

#[tokio::test]
async fn everything_rendered_fits_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    write_schemas(folder.path()).await;
    let mut values = example();
    values["commonLabels"] = json!({ "cost": "security" });
    values["commonAnnotations"] = json!({ "example.com/owner": "platform" });
    values["extraObjects"] =
        json!([{ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "team-c" } }]);
    let all = rendered(&[values]).await.unwrap();
    assert_eq!(all.len(), 10);
    let text: Vec<_> = all.iter().map(|object| object.to_string()).collect();
    let text = text.join("\n---\n");
    let (fits, said) = conforms(folder.path(), &text).await;
    assert!(fits, "{said}");
    let wrong = text.replace("\"maxDuration\"", "\"maximumDuration\"");
    let (fits, said) = conforms(folder.path(), &wrong).await;
    assert!(!fits && said.contains("maximumDuration"), "{said}");
}

#[tokio::test]
async fn without_values_or_disabled_the_chart_creates_nothing() {
    assert_eq!(rendered(&[]).await.unwrap(), [Value::Null; 0]);
    let mut values = example();
    values["extraObjects"] = json!(["kind: Namespace"]);
    values["enabled"] = json!(false);
    assert_eq!(rendered(&[values]).await.unwrap(), [Value::Null; 0]);
}

#[tokio::test]
async fn a_later_file_adds_changes_and_removes() {
    let later = json!({
        "integrations": { "prod": { "labels": { "stage": "test" } } },
        "flows": {
            "databases": { "spec": {
                "grant": { "maxDuration": "1h", "justification": null },
                "approval": { "mode": "None", "groups": null },
            } },
            "oncall": { "namespace": "keyloan", "spec": flow() },
        },
        "roleBindings": { "platform-decides": null, "platform-administers": null },
        "quotas": { "keyloan": null },
    });
    let last =
        json!({ "integrations": { "prod": { "labels": { "stage": null, "team": "platform" } } } });
    let all = by_name(rendered(&[example(), later, last]).await.unwrap());
    let names: Vec<_> = all.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "AccessFlow keyloan databases",
            "AccessFlow keyloan oncall",
            "OnePasswordIntegration keyloan prod",
            "RoleBinding team-a engineers-ask",
            "RoleBinding team-b engineers-ask",
        ]
    );
    let changed = &all["AccessFlow keyloan databases"]["spec"];
    assert_eq!(changed["grant"], json!({ "maxDuration": "1h" }));
    assert_eq!(
        changed["approval"],
        json!({ "mode": "None", "timeout": "8h" })
    );
    assert_eq!(changed["integration"], "prod");
    let labels = &all["OnePasswordIntegration keyloan prod"]["metadata"]["labels"];
    assert_eq!(labels["team"], "platform");
    assert_eq!(labels.get("stage"), None);
}

#[tokio::test]
async fn names_namespaces_and_labels_are_those_of_the_entry_before_those_of_all() {
    let values = json!({
        "namespace": "data",
        "commonLabels": { "cost": "security", "team": "platform" },
        "commonAnnotations": { "a": "1" },
        "flows": {
            "here": { "spec": flow() },
            "keyloan/oncall": { "name": "oncall", "namespace": "keyloan", "labels": { "team": "data", "empty": "" }, "spec": flow() },
        },
    });
    let all = by_name(rendered(&[values]).await.unwrap());
    let names: Vec<_> = all.keys().map(String::as_str).collect();
    assert_eq!(names, ["AccessFlow data here", "AccessFlow keyloan oncall"]);
    let metadata = &all["AccessFlow keyloan oncall"]["metadata"];
    assert_eq!(metadata["labels"]["team"], "data");
    assert_eq!(metadata["labels"]["cost"], "security");
    assert_eq!(metadata["labels"]["empty"], "");
    assert_eq!(metadata["annotations"], json!({ "a": "1" }));
    let values = json!({ "flows": { "here": { "spec": flow() } } });
    let all = by_name(rendered(&[values]).await.unwrap());
    assert!(
        all.contains_key("AccessFlow keyloan-system here"),
        "{all:?}"
    );
}

#[tokio::test]
async fn texts_are_no_templates_except_those_of_extra_objects() {
    let hostile = "{{ .Values.x }}\nyes: 1\n---\nkind: Secret # \"'\u{85}\u{2028}\\u0085";
    let mut values = with("/flows/oncall/spec/accessDetails", json!(hostile));
    values["flows"]["oncall"]["spec"]["requesters"][0]["name"] = json!("on");
    let config_map = |name: &str, text: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "text": text } });
    let template = config_map("two", "{{ .Release.Name }}").to_string();
    values["extraObjects"] = json!([config_map("one", hostile), template]);
    let all = by_name(rendered(&[values]).await.unwrap());
    assert_eq!(all.len(), 3, "{all:?}");
    let spec = &all["AccessFlow keyloan-system oncall"]["spec"];
    assert_eq!(spec["accessDetails"], hostile);
    assert_eq!(spec["requesters"][0]["name"], "on");
    assert_eq!(all["ConfigMap one"]["data"]["text"], hostile);
    assert_eq!(all["ConfigMap two"]["data"]["text"], "keyloan-config");
}

#[tokio::test]
async fn a_service_account_without_a_namespace_is_of_the_namespace_that_it_is_bound_in() {
    let values = json!({ "roleBindings": { "pipelines-ask": {
        "namespaces": ["team-a", "team-b"],
        "role": "keyloan-requester",
        "subjects": [
            { "kind": "ServiceAccount", "name": "pipeline" },
            { "kind": "ServiceAccount", "name": "runner", "namespace": "ci" },
        ],
    } } });
    let all = by_name(rendered(&[values]).await.unwrap());
    let account = |name: &str, namespace: &str| json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace });
    for namespace in ["team-a", "team-b"] {
        let subjects = &all[&format!("RoleBinding {namespace} pipelines-ask")]["subjects"];
        let expected = [account("pipeline", namespace), account("runner", "ci")];
        assert_eq!(subjects, &json!(expected));
    }
}

#[tokio::test]
async fn a_typo_is_reported_by_helm() {
    let binding = |role: &str| json!({ "roleBindings": { "ask": { "namespaces": ["a"], "role": role, "subjects": [{ "kind": "Group", "name": "g" }] } } });
    for (values, says) in [
        (
            json!({ "flow": {} }),
            "additional properties 'flow' not allowed",
        ),
        (
            json!({ "flows": { "oncall": { "sepc": {} } } }),
            "at '/flows/oncall': additional properties 'sepc' not allowed",
        ),
        (
            json!({ "flows": { "oncall": {} } }),
            "at '/flows/oncall': missing property 'spec'",
        ),
        (
            with("/flows/oncall/spec/grant/maxDuraton", json!("2h")),
            "at '/flows/oncall/spec/grant': additional properties 'maxDuraton' not allowed",
        ),
        (
            with("/flows/oncall/spec/approval/mode", json!("Nobody")),
            "at '/flows/oncall/spec/approval/mode': value must be one of",
        ),
        (
            with("/flows/oncall/spec/items", json!({ "include": [] })),
            "at '/flows/oncall/spec/items/include': minItems: got 0, want 1",
        ),
        (
            with("/flows/oncall/spec/grant/maxDuration", json!(2)),
            "at '/flows/oncall/spec/grant/maxDuration': got number, want string",
        ),
        (
            json!({ "integrations": { "prod": { "spec": { "plan": "Business", "auth": { "serviceAccountToken": { "token": "ops_x" } } } } } }),
            "additional properties 'token' not allowed",
        ),
        (
            binding("keyloan-requestor"),
            "at '/roleBindings/ask/role': value must be one of 'keyloan-requester'",
        ),
        (
            json!({ "roleBindings": { "ask": { "role": "keyloan-requester", "subjects": [{ "kind": "Group", "name": "g" }] } } }),
            "missing property 'namespaces'",
        ),
        (
            json!({ "quotas": { "keyloan": { "namespaces": ["a"], "spec": { "hrad": {} } } } }),
            "additional properties 'hrad' not allowed",
        ),
        (
            json!({ "flows": { "a": { "name": "oncall", "spec": flow() }, "oncall": { "spec": flow() } } }),
            "flows has two entries for the AccessFlow keyloan-system/oncall: a and oncall",
        ),
    ] {
        let said = rendered(std::slice::from_ref(&values)).await.err();
        let said = said.unwrap_or_else(|| panic!("{values} is accepted"));
        assert!(said.contains(says), "{says}: {said}");
    }
}

#[tokio::test]
async fn the_chart_works_as_a_part_of_another() {
    let helm = Helm::find().await.unwrap();
    let whole = tempfile::tempdir().unwrap();
    let path = |name: &str| whole.path().join(name);
    fs::create_dir(path("charts")).unwrap();
    fs::write(
        path("Chart.yaml"),
        "{apiVersion: v2, name: platform, version: 0.1.0}",
    )
    .unwrap();
    let mut copy = Command::new("cp");
    copy.arg("-R")
        .arg(Chart::Config.folder())
        .arg(path("charts"));
    assert!(copy.status().unwrap().success());
    let mut values = json!({ "global": { "registry": "x" }, "keyloan-config": example() });
    for (enabled, count) in [(true, 9), (false, 0)] {
        values["keyloan-config"]["enabled"] = json!(enabled);
        fs::write(path("values.yaml"), values.to_string()).unwrap();
        let folder = whole.path().display().to_string();
        let text = helm.run(&["template", "platform", &folder]).await;
        assert_eq!(objects(&text.unwrap()).len(), count);
    }
}

#[tokio::test]
async fn the_notes_say_how_to_create_the_token_of_each_integration() {
    let helm = Helm::find().await.unwrap();
    let folder = Chart::Config.folder().display().to_string();
    let values = file(&example());
    let values = format!("--values={}", values.path().display());
    let install = ["install", "config", &folder, "--dry-run=client", &values];
    let said = helm.run(&install).await.unwrap();
    for line in [
        "Keyloan's configuration is installed: 1 integration(s) and 1 flow(s).",
        "    kubectl --namespace keyloan create secret generic op-token --from-file=token=TOKEN_FILE",
        "    kubectl --namespace keyloan label secret op-token keyloan.dev/secret=token keyloan.dev/integration=prod",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
}
