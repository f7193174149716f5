//! All that the charts and examples hold fits Kubernetes' own schemas and ours, with no member that they do not know.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use keyloan::manifests::crds;
use keyloan_cluster::{Chart, Helm, kubeconform, kubernetes_swagger};
use serde_json::{Map, Value, json};

use crate::chart::rendering::{IMAGE, objects, render};

/// How kubeconform looks for a schema in our folder.
const LOCATION: &str = "{{ .Group }}_{{ .ResourceAPIVersion }}_{{ .ResourceKind }}.json";

#[tokio::test]
async fn everything_rendered_fits_its_schema() {
    let helm = Helm::find().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_schemas(folder.path()).await;
    let everything = [
        "--kube-version=1.37.0",
        "--set=image.repository=registry.example.com/keyloan",
        "--set=serviceMonitor.enabled=true,prometheusRule.enabled=true,grafanaDashboard.enabled=true",
        "--set=prometheusRule.runbookUrl=https://docs.example.com/alerts.md",
        "--set=integrationNamespaces={keyloan,platform}",
        "--set=allowOrigins={https://1password.example:8443}",
        "--set=imagePullSecrets[0].name=registry",
        "--set=podAnnotations.a=b,podLabels.c=d,nodeSelector.e=f,priorityClassName=high",
        "--set=tolerations[0].key=k,tolerations[0].operator=Exists",
    ];
    let operator = render(&helm, Chart::Operator, &everything).await.unwrap();
    let kinds = render(&helm, Chart::Crds, &everything[..1]).await.unwrap();
    for rendered in [&operator, &kinds] {
        let (fits, said) = conforms(folder.path(), rendered).await;
        assert!(fits, "{said}");
    }
    assert_eq!(
        objects(&kinds)
            .iter()
            .filter(|o| o["kind"] == "CustomResourceDefinition")
            .count(),
        6
    );
    for (name, _) in crds().unwrap() {
        let plural = format!("name: {name}.keyloan.dev");
        assert!(kinds.contains(&plural), "{plural}");
    }

    // The check can fail, for Kubernetes' kinds and for the Prometheus operator's.
    for (right, wrong) in [
        ("readOnlyRootFilesystem:", "readOnlyRootFileSystem:"),
        ("interval:", "every:"),
        ("for: 15m", "during: 15m"),
    ] {
        let (fits, said) = conforms(folder.path(), &operator.replace(right, wrong)).await;
        let wrong = wrong.split(':').next().unwrap();
        assert!(!fits && said.contains(wrong), "{wrong}: {said}");
    }
}

/// Those in the notes that helm prints, and those that a catalogue shows.
#[tokio::test]
async fn the_examples_of_the_charts_fit_the_kinds() {
    let folder = tempfile::tempdir().unwrap();
    write_schemas(folder.path()).await;
    let chart = Chart::Operator.folder().display().to_string();
    let install = ["install", "keyloan", &chart, "--dry-run=client", IMAGE];
    let said = Helm::find().await.unwrap().run(&install).await.unwrap();
    let (_, notes) = said.split_once("<<'EOF'\n").unwrap();
    let (notes, _) = notes.split_once("\nEOF\n").unwrap();
    assert_eq!(objects(notes).len(), 2);

    let about = std::fs::read_to_string(Chart::Crds.folder().join("Chart.yaml")).unwrap();
    let about: Value = serde_saphyr::from_str(&about).unwrap();
    let examples = &about["annotations"]["artifacthub.io/crdsExamples"];
    let examples: Vec<Value> = serde_saphyr::from_str(examples.as_str().unwrap()).unwrap();
    let examples: Vec<_> = examples.iter().map(Value::to_string).collect();
    for text in [notes, &examples.join("\n---\n")] {
        let (fits, said) = conforms(folder.path(), text).await;
        assert!(fits, "{said}");
    }
}

#[tokio::test]
async fn the_examples_fit_the_kinds() {
    let folder = tempfile::tempdir().unwrap();
    write_schemas(folder.path()).await;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let text = keyloan_cluster::read_folder(&examples).unwrap();
    assert!(objects(&text).len() >= 4);
    let (fits, said) = conforms(folder.path(), &text).await;
    assert!(fits, "{said}");
    let (fits, said) = conforms(
        folder.path(),
        &text.replace("maxDuration:", "maximumDuration:"),
    )
    .await;
    assert!(!fits && said.contains("maximumDuration"), "{said}");
}

/// Whether each object in a text fits its schema, and what kubeconform says.
pub async fn conforms(schemas: &Path, text: &str) -> (bool, String) {
    let program = kubeconform().await.unwrap();
    let location = schemas.join(LOCATION).display().to_string();
    let mut child = tokio::process::Command::new(program)
        .args(["-strict", "-summary", "-schema-location", &location])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = text.to_owned();
    let writing = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        input.write_all(text.as_bytes()).await
    });
    let output = child.wait_with_output().await.unwrap();
    writing.await.unwrap().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), said)
}

/// The part of the Prometheus operator's ServiceMonitor and PodMonitor that a chart like ours can use, in our own words:
/// <https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.ServiceMonitor>.
fn monitor(kind: &str, endpoints: &str) -> Value {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let duration = json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$" });
    let relabeling = json!({
        "type": "object",
        "properties": {
            "action": { "enum": ["replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"] },
            "sourceLabels": { "type": "array", "items": { "type": "string" } },
            "separator": { "type": "string" },
            "targetLabel": { "type": "string" },
            "regex": { "type": "string" },
            "replacement": { "type": "string" },
            "modulus": { "type": "integer" },
        },
    });
    let relabelings = json!({ "type": "array", "minItems": 1, "items": relabeling });
    let endpoint = json!({
        "type": "object",
        "required": ["port"],
        "properties": {
            // The name of one of the Service's or the pod's ports.
            "port": { "type": "string", "minLength": 1 },
            "path": { "type": "string", "pattern": "^/" },
            "scheme": { "enum": ["http", "https"] },
            "interval": duration,
            "scrapeTimeout": duration,
            "honorLabels": { "type": "boolean" },
            "relabelings": relabelings,
            "metricRelabelings": relabelings,
        },
    });
    let names = json!({ "type": "array", "minItems": 1, "items": { "type": "string" } });
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": { "const": "monitoring.coreos.com/v1" },
            "kind": { "const": kind },
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": { "type": "string" },
                    "namespace": { "type": "string" },
                    "labels": texts,
                    "annotations": texts,
                },
            },
            "spec": {
                "type": "object",
                "required": ["selector", endpoints],
                "properties": {
                    "namespaceSelector": {
                        "type": "object",
                        "required": ["matchNames"],
                        "properties": { "matchNames": names },
                    },
                    "selector": {
                        "type": "object",
                        "required": ["matchLabels"],
                        "properties": { "matchLabels": texts },
                    },
                    endpoints: { "type": "array", "minItems": 1, "items": endpoint },
                },
            },
        },
    })
}

/// The same of its PrometheusRule:
/// <https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule>.
fn prometheus_rule() -> Value {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let rule = json!({
        "type": "object",
        "required": ["alert", "expr"],
        "properties": {
            "alert": { "type": "string", "minLength": 1 },
            "expr": { "type": "string", "minLength": 1 },
            "for": { "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$" },
            "labels": texts,
            "annotations": texts,
        },
    });
    let group = json!({
        "type": "object",
        "required": ["name", "rules"],
        "properties": {
            "name": { "type": "string", "minLength": 1 },
            "rules": { "type": "array", "minItems": 1, "items": rule },
        },
    });
    let spec = json!({
        "type": "object",
        "required": ["groups"],
        "properties": { "groups": { "type": "array", "minItems": 1, "items": group } },
    });
    let mut whole = monitor("PrometheusRule", "endpoints");
    whole["properties"]["spec"] = spec;
    whole
}

/// One file for each kind that Kubernetes' description of its API has, for each of ours, and for those of another
/// project that the chart uses.
pub async fn write_schemas(folder: &Path) {
    let swagger = std::fs::read(kubernetes_swagger().await.unwrap()).unwrap();
    let mut swagger: Value = serde_json::from_slice(&swagger).unwrap();
    let mut definitions = swagger["definitions"].take();
    for schema in definitions.as_object_mut().unwrap().values_mut() {
        strict(schema);
    }
    let definitions = definitions.as_object().unwrap();
    let mut written = 0;
    for (name, schema) in definitions {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        // What belongs to many groups is an option of a call.
        let Some([kind]) = kinds.map(Vec::as_slice) else {
            continue;
        };
        let mut needed = BTreeSet::new();
        gather(name, definitions, &mut needed);
        let parts: Map<_, _> = needed
            .into_iter()
            .map(|name| (name.clone(), definitions[&name].clone()))
            .collect();
        let whole = json!({ "$ref": format!("#/definitions/{name}"), "definitions": parts });
        write(
            folder,
            &kind["group"],
            &kind["version"],
            &kind["kind"],
            &whole,
        );
        written += 1;
    }
    assert!(written > 150, "{written}");
    for mut schema in [
        monitor("ServiceMonitor", "endpoints"),
        monitor("PodMonitor", "podMetricsEndpoints"),
        prometheus_rule(),
    ] {
        strict(&mut schema);
        let [group, version] = ["monitoring.coreos.com", "v1"].map(|text| json!(text));
        let kind = schema["properties"]["kind"]["const"].clone();
        write(folder, &group, &version, &kind, &schema);
    }
    for (_, crd) in crds().unwrap() {
        let version = &crd["spec"]["versions"][0];
        let mut schema = version["schema"]["openAPIV3Schema"].clone();
        for (member, of) in [
            ("apiVersion", "string"),
            ("kind", "string"),
            ("metadata", "object"),
        ] {
            schema["properties"][member] = json!({ "type": of });
        }
        strict(&mut schema);
        let kind = &crd["spec"]["names"]["kind"];
        write(
            folder,
            &crd["spec"]["group"],
            &version["name"],
            kind,
            &schema,
        );
    }
}

fn write(folder: &Path, group: &Value, version: &Value, kind: &Value, schema: &Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (version, kind) = (text(version), text(kind).to_lowercase());
    // Kubeconform takes the version for the group of kinds that have none.
    let group = match text(group).as_str() {
        "" => version.clone(),
        group => group.to_owned(),
    };
    let path = folder.join(format!("{group}_{version}_{kind}.json"));
    std::fs::write(path, schema.to_string()).unwrap();
}

/// The definitions that one refers to, itself among them.
fn gather(name: &str, definitions: &Map<String, Value>, needed: &mut BTreeSet<String>) {
    if !needed.insert(name.to_owned()) {
        return;
    }
    let mut open = vec![&definitions[name]];
    while let Some(value) = open.pop() {
        if let Some(to) = value["$ref"].as_str() {
            gather(to.trim_start_matches("#/definitions/"), definitions, needed);
        }
        match value {
            Value::Object(members) => open.extend(members.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
}

/// Refuse members that are not described, as the API server does in strict validation; and take numbers where
/// Kubernetes does although it describes a string.
fn strict(schema: &mut Value) {
    let Value::Object(members) = schema else {
        if let Value::Array(items) = schema {
            items.iter_mut().for_each(strict);
        }
        return;
    };
    let int_or_string = members.get("format").is_some_and(|f| f == "int-or-string")
        || members.get("x-kubernetes-int-or-string").is_some();
    if int_or_string {
        members.insert("type".into(), json!(["string", "integer"]));
        members.remove("format");
    }
    let described = members.get("properties").is_some_and(Value::is_object);
    if described && !members.contains_key("additionalProperties") {
        members.insert("additionalProperties".into(), json!(false));
    }
    // A member may itself be called `properties`, as in the schema of schemas; its description is no such object.
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        properties.values_mut().for_each(strict);
    }
    for (name, member) in members.iter_mut() {
        if !["properties", "default", "enum"].contains(&name.as_str()) {
            strict(member);
        }
    }
}
