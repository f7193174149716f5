//! The chart under combinations of its values: for any two groups of values, each pair of their settings is rendered.

use std::collections::BTreeSet;

use keyloan_cluster::{Chart, Helm};
use serde_json::{Value, json};

use crate::chart::rendering::{objects, render};
use crate::chart::schemas::{conforms, write_schemas};

/// Values that belong together, and the settings of each that matter. No two groups have a value in common.
fn groups() -> Vec<Vec<Value>> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let labels = json!({ "team": "platform" });
    let rules = json!([{ "action": "labeldrop", "regex": "pod" }]);
    let monitor = json!({
        "enabled": true, "namespace": "monitoring", "labels": labels, "annotations": labels, "interval": "1m",
        "scrapeTimeout": "10s", "honorLabels": true, "relabelings": rules, "metricRelabelings": rules,
    });
    let peers = json!([{ "namespaceSelector": { "matchLabels": labels } }]);
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "{{ .Release.Name }}-extra" } });
    vec![
        vec![
            json!({ "image": { "repository": "registry.example.com/keyloan" } }),
            json!({ "image": { "registry": "registry.example.com", "repository": "keyloan", "digest": digest, "pullPolicy": "Always" } }),
            json!({
                "global": { "imageRegistry": "mirror.example.com:5000", "imagePullSecrets": ["mirror"], "others": 1 },
                "image": { "repository": "team/keyloan", "tag": "1.0" },
                "imagePullSecrets": ["mirror", { "name": "own" }],
            }),
        ],
        vec![
            json!({}),
            json!({ "nameOverride": "lender" }),
            json!({ "fullnameOverride": "lender", "namespaceOverride": "lending" }),
        ],
        vec![
            json!({}),
            json!({
                "commonLabels": labels, "commonAnnotations": labels, "podLabels": labels, "podAnnotations": labels,
                "deploymentAnnotations": labels,
            }),
        ],
        vec![
            json!({}),
            json!({ "serviceAccount": { "create": false, "name": "lender" } }),
            json!({ "serviceAccount": { "labels": labels, "annotations": labels, "automount": false } }),
        ],
        vec![
            json!({}),
            json!({ "podSecurityContext": { "runAsUser": 65532, "fsGroup": 1000650000 }, "hostUsers": false, "runtimeClassName": "gvisor" }),
            json!({
                "podSecurityContext": { "runAsUser": null, "runAsNonRoot": null, "seccompProfile": null },
                "securityContext": { "capabilities": null, "allowPrivilegeEscalation": null, "readOnlyRootFilesystem": null },
            }),
        ],
        vec![
            json!({}),
            json!({
                "extraArgs": ["--kubeconfig=/etc/keyloan/kubeconfig"], "extraEnv": [{ "name": "TZ", "value": "UTC" }],
                "extraEnvFrom": [{ "configMapRef": { "name": "more" } }],
                "extraVolumes": [{ "name": "more", "emptyDir": {} }],
                "extraVolumeMounts": [{ "name": "more", "mountPath": "/etc/keyloan" }],
                "extraContainers": [{ "name": "beside", "image": "registry.example.com/beside" }],
                "extraInitContainers": [{ "name": "before", "image": "registry.example.com/before" }],
                "extraObjects": [object, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: another}"],
            }),
        ],
        vec![
            json!({}),
            json!({ "livenessProbe": null, "readinessProbe": { "timeoutSeconds": 5 }, "startupProbe": { "httpGet": { "path": "/livez", "port": "health" } } }),
        ],
        vec![
            json!({}),
            json!({ "replicas": 1, "strategy": { "type": "Recreate" }, "revisionHistoryLimit": 0, "terminationGracePeriodSeconds": 120 }),
            json!({ "replicas": 3, "podDisruptionBudget": { "minAvailable": "50%", "unhealthyPodEvictionPolicy": "IfHealthyBudget" } }),
            json!({ "replicas": 3, "podDisruptionBudget": { "maxUnavailable": 2 } }),
        ],
        vec![
            json!({}),
            json!({
                "nodeSelector": labels, "tolerations": [{ "operator": "Exists" }], "affinity": { "nodeAffinity": {} },
                "topologySpreadConstraints": [], "priorityClassName": "high", "schedulerName": "another",
            }),
            json!({ "topologySpreadConstraints": [
                { "maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": labels } },
            ] }),
        ],
        vec![
            json!({}),
            json!({
                "dnsPolicy": "None", "dnsConfig": { "nameservers": ["192.0.2.53"], "options": [{ "name": "ndots", "value": "2" }] },
                "hostAliases": [{ "ip": "192.0.2.1", "hostnames": ["op.example"] }],
            }),
        ],
        vec![
            json!({}),
            json!({ "service": { "labels": labels, "annotations": labels, "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"] } }),
        ],
        vec![
            json!({}),
            json!({ "networkPolicy": { "enabled": false } }),
            json!({ "networkPolicy": {
                "metricsFrom": peers, "extraIngress": [{ "from": peers }], "extraEgress": [{ "to": peers, "ports": [{ "port": 3128, "protocol": "TCP" }] }],
            } }),
        ],
        vec![
            json!({}),
            json!({ "serviceMonitor": monitor }),
            json!({ "podMonitor": monitor }),
        ],
        vec![
            json!({}),
            json!({ "links": { "create": false, "namespace": "handed-out" }, "peopleRoles": false }),
            json!({ "links": { "labels": labels, "objectLabels": labels }, "integrationNamespaces": ["keyloan", "platform"] }),
        ],
        vec![
            json!({}),
            json!({ "allowOrigins": ["https://op.example:8443"], "log": { "level": "info,keyloan=debug" }, "resources": { "limits": { "cpu": "1" } } }),
        ],
    ]
}

#[tokio::test]
async fn any_two_settings_of_values_render_to_objects_that_fit_their_schemas() {
    let helm = Helm::find().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_schemas(folder.path()).await;
    let groups = groups();
    let sizes: Vec<_> = groups.iter().map(Vec::len).collect();
    let rows = all_pairs(&sizes);
    let mut rendered = String::new();
    for row in &rows {
        let chosen = groups
            .iter()
            .zip(row)
            .map(|(group, chosen)| &group[*chosen]);
        let mut values = json!({});
        for setting in chosen {
            let setting = setting.as_object().unwrap().clone();
            values.as_object_mut().unwrap().extend(setting);
        }
        let one = with_values(&helm, &values).await;
        let one = one.unwrap_or_else(|said| panic!("{values}: {said}"));
        is_one_install(&objects(&one));
        rendered += &format!("{one}\n---\n");
    }
    let (fits, said) = conforms(folder.path(), &rendered).await;
    assert!(fits, "{said}");
}

/// Faults that an API server would refuse, or parts that would not work together.
fn is_one_install(objects: &[Value]) {
    let mut names = BTreeSet::new();
    for object in objects {
        let metadata = &object["metadata"];
        let name = [&object["kind"], &metadata["namespace"], &metadata["name"]];
        assert!(names.insert(name.map(Value::to_string)), "twice: {name:?}");
    }
    let find = |kind: &str| objects.iter().find(|object| object["kind"] == kind);
    let deployment = find("Deployment").unwrap();
    let pod = &deployment["spec"]["template"];
    let pods = pod["metadata"]["labels"].as_object().unwrap();
    let selectors = [
        ("Deployment", "/spec/selector/matchLabels"),
        ("Service", "/spec/selector"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("PodMonitor", "/spec/selector/matchLabels"),
    ];
    for (kind, path) in selectors {
        let Some(object) = find(kind) else { continue };
        let selector = object.pointer(path).unwrap().as_object().unwrap();
        assert!(!selector.is_empty(), "{kind}");
        for (label, value) in selector {
            assert_eq!(pods.get(label), Some(value), "{kind} selects other pods");
        }
        // The pod of the test is not one of the operator's.
        let test = find("Pod").unwrap()["metadata"]["labels"]
            .as_object()
            .unwrap();
        assert!(
            selector
                .iter()
                .any(|(label, value)| test.get(label) != Some(value)),
            "{kind}"
        );
    }
    let account = &pod["spec"]["serviceAccountName"];
    let bindings = objects
        .iter()
        .filter(|o| o["kind"] == "RoleBinding" || o["kind"] == "ClusterRoleBinding");
    for binding in bindings.filter(|binding| binding["subjects"][0]["kind"] == "ServiceAccount") {
        let subject = &binding["subjects"][0];
        assert_eq!(subject["name"], *account);
        assert_eq!(subject["namespace"], deployment["metadata"]["namespace"]);
    }
}

pub async fn with_values(helm: &Helm, values: &Value) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values.to_string()).unwrap();
    let file = format!("--values={}", file.path().display());
    render(helm, Chart::Operator, &["--kube-version=1.37.0", &file]).await
}

/// Few rows, each with a choice for each group, in which any two choices of different groups meet.
fn all_pairs(sizes: &[usize]) -> Vec<Vec<usize>> {
    let mut open = BTreeSet::new();
    for (one, size) in sizes.iter().enumerate() {
        for (other, others) in sizes.iter().enumerate().skip(one + 1) {
            open.extend((0..*size).flat_map(|a| (0..*others).map(move |b| ((one, a), (other, b)))));
        }
    }
    let mut rows = Vec::new();
    while let Some(first) = open.first().copied() {
        let mut row = vec![None; sizes.len()];
        let ((one, a), (other, b)) = first;
        row[one] = Some(a);
        row[other] = Some(b);
        for group in 0..sizes.len() {
            if row[group].is_none() {
                let met = |choice: usize| {
                    let meets = |(at, there): (usize, &Option<usize>)| {
                        there.is_some_and(|there| {
                            let (here, there) = ((group, choice), (at, there));
                            open.contains(&(here.min(there), here.max(there)))
                        })
                    };
                    row.iter().enumerate().filter(|pair| meets(*pair)).count()
                };
                row[group] = (0..sizes[group]).max_by_key(|choice| met(*choice));
            }
        }
        let row: Vec<usize> = row.into_iter().flatten().collect();
        open.retain(|((one, a), (other, b))| row[*one] != *a || row[*other] != *b);
        rows.push(row);
    }
    rows
}

#[test]
fn all_pairs_meet_in_few_rows() {
    let sizes = [3, 2, 4, 2, 3];
    let rows = all_pairs(&sizes);
    assert!(rows.len() < 24, "{}", rows.len());
    for one in 0..sizes.len() {
        for other in one + 1..sizes.len() {
            let met: BTreeSet<_> = rows.iter().map(|row| (row[one], row[other])).collect();
            assert_eq!(met.len(), sizes[one] * sizes[other]);
        }
    }
}
