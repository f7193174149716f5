//! The effect of single values on the operator's pod and its objects, and the sentences with which the chart refuses those that are unsafe.

use std::fs;
use std::process::Command;

use keyloan_cluster::{Chart, Helm};
use serde_json::{Value, json};

use crate::chart::pairwise::with_values;
use crate::chart::rendering::{find, objects};

/// The objects that are rendered with these values and the image.
async fn rendered(helm: &Helm, values: Value) -> String {
    let rendered = with_values(helm, &with_image(values)).await;
    rendered.unwrap_or_else(|said| panic!("{said}"))
}

fn with_image(mut values: Value) -> Value {
    let image = json!({ "repository": "registry.example.com/keyloan" });
    values
        .as_object_mut()
        .unwrap()
        .entry("image")
        .or_insert(image);
    values
}

/// The pod of the Deployment.
async fn pod(helm: &Helm, values: Value) -> Value {
    let rendered = rendered(helm, values).await;
    find(&rendered, "Deployment").unwrap()["spec"]["template"].clone()
}

#[tokio::test]
async fn values_that_are_unsafe_are_refused_with_what_to_do() {
    let helm = Helm::find().await.unwrap();
    let mount = json!([{ "name": "ca", "mountPath": "/keyloan/" }]);
    let twice = json!([{ "name": "ca", "emptyDir": {} }, { "name": "ca", "emptyDir": {} }]);
    for (values, says) in [
        (
            json!({ "service": null }),
            "the value service is missing, as after an upgrade with --reuse-values: use --reset-then-reuse-values",
        ),
        (
            json!({ "enabled": false }),
            "give the dependency in your chart the condition keyloan.enabled",
        ),
        (
            json!({ "serviceAccount": { "create": false } }),
            "name the ServiceAccount that the operator uses",
        ),
        (
            json!({ "serviceAccount": { "name": "default" } }),
            "set serviceAccount.name to an account that only the operator uses",
        ),
        (
            json!({ "fullnameOverride": "default" }),
            "set serviceAccount.name to an account that only the operator uses",
        ),
        (
            json!({ "automountServiceAccountToken": false }),
            "Mount a token, or set automountServiceAccountToken to true",
        ),
        (
            json!({ "podLabels": { "app.kubernetes.io/name": "x" } }),
            "podLabels sets the label app.kubernetes.io/name to x, but the chart itself sets it to keyloan: remove it",
        ),
        (
            json!({ "commonLabels": { "app.kubernetes.io/managed-by": "x" } }),
            "commonLabels sets the label app.kubernetes.io/managed-by",
        ),
        (
            json!({ "commonAnnotations": { "helm.sh/hook": "post-install" } }),
            "commonAnnotations has helm.sh/hook",
        ),
        (
            json!({ "securityContext": { "privileged": true } }),
            "securityContext.privileged is true",
        ),
        (
            json!({ "securityContext": { "allowPrivilegeEscalation": true } }),
            "securityContext.allowPrivilegeEscalation is true",
        ),
        (
            json!({ "podSecurityContext": { "runAsUser": 0 } }),
            "podSecurityContext.runAsUser is 0",
        ),
        (
            json!({ "podDisruptionBudget": { "minAvailable": 2 } }),
            "minAvailable is 2 with 2 replicas: no node",
        ),
        (
            json!({ "podDisruptionBudget": { "minAvailable": "100%" } }),
            "no node with a pod of the operator could be drained",
        ),
        (
            json!({ "podDisruptionBudget": { "maxUnavailable": 0 } }),
            "maxUnavailable is 0: no node",
        ),
        (
            json!({ "podDisruptionBudget": { "minAvailable": 1, "maxUnavailable": 1 } }),
            "set one of them",
        ),
        (
            json!({ "terminationGracePeriodSeconds": 69 }),
            "but the operator may take 70 seconds to hand over a link that 1Password is making: set at least 70",
        ),
        (
            json!({ "image": { "repository": "registry.example.com/keyloan:1.0" } }),
            "put it into image.tag or image.digest",
        ),
        (
            json!({ "image": { "registry": "a.example", "repository": "b.example/keyloan" } }),
            "remove one of them",
        ),
        (
            json!({ "serviceMonitor": { "enabled": true }, "podMonitor": { "enabled": true } }),
            "Prometheus would count everything twice. Enable one of them",
        ),
        (
            json!({ "extraArgs": ["--lease=a/b"] }),
            "extraArgs has --lease, which the chart sets: use the value of the chart",
        ),
        (
            json!({ "extraArgs": ["--allow-origin=https://op.example"] }),
            "extraArgs has --allow-origin",
        ),
        (
            json!({ "extraEnv": [{ "name": "HOSTNAME", "value": "x" }] }),
            "extraEnv has HOSTNAME",
        ),
        (
            json!({ "extraEnv": [{ "name": "KEYLOAN_LOG_LEVEL", "value": "x" }] }),
            "extraEnv has KEYLOAN_LOG_LEVEL: use the value",
        ),
        (
            json!({ "extraContainers": [{ "name": "keyloan", "image": "x" }] }),
            "two containers have the name keyloan",
        ),
        (
            json!({ "extraVolumes": twice }),
            "two volumes have the name ca",
        ),
        (
            json!({ "extraVolumeMounts": mount }),
            "which would hide the operator's program: choose another path",
        ),
    ] {
        let said = with_values(&helm, &with_image(values.clone())).await.err();
        let said = said.unwrap_or_else(|| panic!("{values} is accepted"));
        assert!(said.contains(says), "{values}: {said}");
    }
}

#[tokio::test]
async fn labels_that_repeat_the_charts_own_are_there_once() {
    let helm = Helm::find().await.unwrap();
    let same = json!({ "app.kubernetes.io/name": "keyloan", "team": "platform" });
    // Reading a key that is there twice fails.
    let pod = pod(&helm, json!({ "commonLabels": same, "podLabels": same })).await;
    assert_eq!(pod["metadata"]["labels"]["team"], "platform");
}

#[tokio::test]
async fn a_pod_fixes_no_user_unless_a_value_does_and_null_removes_a_member() {
    let helm = Helm::find().await.unwrap();
    let context = pod(&helm, json!({})).await["spec"]["securityContext"].clone();
    let usual = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    assert_eq!(context, usual);
    let fixed =
        json!({ "podSecurityContext": { "runAsUser": 1_000_650_000, "seccompProfile": null } });
    let context = pod(&helm, fixed).await["spec"]["securityContext"].clone();
    assert_eq!(
        context,
        json!({ "runAsNonRoot": true, "runAsUser": 1_000_650_000 })
    );
    let removed = json!({ "podSecurityContext": { "runAsUser": null } });
    let context = pod(&helm, removed).await["spec"]["securityContext"].clone();
    assert_eq!(context, usual);
}

#[tokio::test]
async fn an_image_comes_from_the_registry_that_its_name_or_a_value_names() {
    let helm = Helm::find().await.unwrap();
    let digest = format!("sha256:{}", "a".repeat(64));
    let mirror = json!({ "imageRegistry": "mirror.example:5000" });
    for (values, expected) in [
        (
            json!({ "image": { "repository": "a.example/keyloan", "tag": "1" } }),
            "a.example/keyloan:1".to_owned(),
        ),
        (
            json!({ "image": { "registry": "a.example", "repository": "keyloan" } }),
            "a.example/keyloan:0.1.0".into(),
        ),
        (
            json!({ "global": mirror, "image": { "registry": "a.example", "repository": "team/keyloan" } }),
            "mirror.example:5000/team/keyloan:0.1.0".into(),
        ),
        // The whole name counts more than a default of the umbrella chart.
        (
            json!({ "global": mirror, "image": { "repository": "a.example/keyloan" } }),
            "a.example/keyloan:0.1.0".into(),
        ),
        (
            json!({ "image": { "repository": "localhost/keyloan", "tag": "1", "digest": digest } }),
            format!("localhost/keyloan@{digest}"),
        ),
    ] {
        let pod = pod(&helm, values.clone()).await;
        assert_eq!(pod["spec"]["containers"][0]["image"], expected, "{values}");
    }
    let pulls = json!({
        "global": { "imagePullSecrets": ["mirror", { "name": "own" }] }, "imagePullSecrets": [{ "name": "own" }, "more"],
    });
    let pod = pod(&helm, pulls).await;
    let names = ["mirror", "own", "more"].map(|name| json!({ "name": name }));
    assert_eq!(pod["spec"]["imagePullSecrets"], json!(names));
}

#[tokio::test]
async fn pods_spread_over_nodes_and_zones_unless_a_value_says_otherwise() {
    let helm = Helm::find().await.unwrap();
    let spread = async |values| {
        let pod = pod(&helm, values).await;
        let labels = pod["metadata"]["labels"].as_object().unwrap().clone();
        (pod["spec"]["topologySpreadConstraints"].clone(), labels)
    };
    let (usual, labels) = spread(json!({})).await;
    let keys: Vec<_> = usual
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["topologyKey"].clone())
        .collect();
    assert_eq!(
        keys,
        ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    );
    for constraint in usual.as_array().unwrap() {
        assert_eq!(constraint["whenUnsatisfiable"], "ScheduleAnyway");
        for (label, value) in constraint["labelSelector"]["matchLabels"]
            .as_object()
            .unwrap()
        {
            assert_eq!(labels.get(label), Some(value));
        }
        // The pods of an earlier version do not count.
        assert_eq!(constraint["matchLabelKeys"], json!(["pod-template-hash"]));
    }
    let own = json!([{ "maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {} }]);
    assert_eq!(
        spread(json!({ "topologySpreadConstraints": own })).await.0,
        own
    );
    let skew = json!([{ "maxSkew": 2 }]);
    let (skewed, _) = spread(json!({ "topologySpreadConstraints": skew })).await;
    let mut expected = usual[0].clone();
    expected["maxSkew"] = json!(2);
    assert_eq!(skewed, json!([expected]));
    assert_eq!(
        spread(json!({ "topologySpreadConstraints": [] })).await.0,
        Value::Null
    );
}

#[tokio::test]
async fn a_token_of_ones_own_replaces_the_mounted_one() {
    let helm = Helm::find().await.unwrap();
    let mount =
        json!({ "name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" });
    let values = json!({
        "automountServiceAccountToken": false, "extraVolumes": [{ "name": "token", "projected": {} }], "extraVolumeMounts": [mount],
    });
    let pod = pod(&helm, values).await;
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    assert_eq!(pod["spec"]["containers"][0]["volumeMounts"], json!([mount]));
}

#[tokio::test]
async fn further_objects_are_part_of_the_release_and_their_templates_are_evaluated() {
    let helm = Helm::find().await.unwrap();
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "{{ .Release.Name }}-a" } });
    let text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include \"keyloan.name\" . }}-b";
    let rendered = rendered(&helm, json!({ "extraObjects": [object, text] })).await;
    let names: Vec<_> = objects(&rendered)
        .into_iter()
        .filter(|object| object["kind"] == "ConfigMap" && object["metadata"]["namespace"].is_null())
        .map(|object| object["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["keyloan-a", "keyloan-b"]);
}

#[tokio::test]
async fn an_umbrella_chart_has_both_charts_as_parts_and_leaves_out_one_by_its_condition() {
    let helm = Helm::find().await.unwrap();
    let whole = tempfile::tempdir().unwrap();
    let file = |name: &str| whole.path().join(name);
    fs::create_dir(file("charts")).unwrap();
    let mut parts = Vec::new();
    for chart in Chart::ALL {
        let mut copy = Command::new("cp");
        copy.arg("-R").arg(chart.folder()).arg(file("charts"));
        assert!(copy.status().unwrap().success());
        let name = chart.name();
        parts.push(
            json!({ "name": name, "version": "0.1.0", "condition": format!("{name}.enabled") }),
        );
    }
    let about = json!({ "apiVersion": "v2", "name": "platform", "version": "0.1.0", "dependencies": parts });
    fs::write(file("Chart.yaml"), about.to_string()).unwrap();
    let values = json!({
        "global": { "imageRegistry": "mirror.example.com", "team": "platform" },
        "keyloan": { "enabled": true, "image": { "repository": "keyloan" } },
    });
    fs::write(file("values.yaml"), values.to_string()).unwrap();
    let folder = whole.path().display().to_string();
    let rendered = async |set: &str| {
        let arguments = ["template", "platform", &folder, "--namespace=platform", set];
        helm.run(&arguments)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let both = rendered("--set=keyloan.namespaceOverride=keyloan-system").await;
    let deployment = find(&both, "Deployment").unwrap();
    assert_eq!(deployment["metadata"]["namespace"], "keyloan-system");
    assert_eq!(deployment["metadata"]["name"], "platform-keyloan");
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        "mirror.example.com/keyloan:0.1.0"
    );
    assert!(find(&both, "CustomResourceDefinition").is_some());
    let without = rendered("--set=keyloan.enabled=false").await;
    assert_eq!(find(&without, "Deployment"), None);
    assert!(find(&without, "CustomResourceDefinition").is_some());
    let without = rendered("--set=keyloan-crds.enabled=false").await;
    assert_eq!(find(&without, "CustomResourceDefinition"), None);
}
