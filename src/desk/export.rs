//! Integrations and flows as code: the parts that a person would have written, as data for Helm and
//! Terraform.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// The metadata that a person writes.
const WRITTEN: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// The prefixes of annotations that tools write.
const TOOLS: [&str; 3] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/",
    "argocd.argoproj.io/",
];

/// A stored object without status, server fields and tools' annotations.
pub fn clean(mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.remove("status");
        if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
            clean_metadata(metadata);
        }
    }
    object
}

fn clean_metadata(metadata: &mut Map<String, Value>) {
    metadata.retain(|key, _| WRITTEN.contains(&key.as_str()));
    let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    annotations.retain(|key, _| !TOOLS.iter().any(|tool| key.starts_with(tool)));
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

/// The Secret that holds an integration's token.
pub fn token_secret(object: &Value) -> Option<&str> {
    object
        .pointer("/spec/auth/serviceAccountToken/secretRef/name")?
        .as_str()
}

/// Says what an export does not include: the Secret with the token.
pub fn without_token(secret: &str) -> String {
    format!(
        "the export does not include the Secret {secret}, which holds the token; keep it out of Git"
    )
}

/// Values for a Helm chart: a list of this name, whose entries have the metadata and the spec of an
/// object.
pub fn helm_values(list: &str, objects: &[Value]) -> impl Serialize {
    let entries: Vec<_> = objects.iter().map(HelmEntry::of).collect();
    BTreeMap::from([(list, entries)])
}

/// The fields in the order in which people write them.
#[derive(Serialize)]
struct HelmEntry<'a> {
    name: &'a Value,
    namespace: &'a Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    labels: &'a Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    annotations: &'a Value,
    spec: &'a Value,
}

impl<'a> HelmEntry<'a> {
    fn of(object: &'a Value) -> Self {
        let metadata = &object["metadata"];
        Self {
            name: &metadata["name"],
            namespace: &metadata["namespace"],
            labels: &metadata["labels"],
            annotations: &metadata["annotations"],
            spec: &object["spec"],
        }
    }
}

/// A `.tf.json` file with a resource of type `kubernetes_manifest` for each object.
pub fn terraform_json(objects: &[Value]) -> Value {
    let resources = objects.iter().map(|object| {
        let resource = json!({ "manifest": escaped(object.clone()) });
        (terraform_label(object), resource)
    });
    let resources: Map<_, _> = resources.collect();
    json!({ "resource": { "kubernetes_manifest": resources } })
}

/// A text in the object that Terraform would misread: one that contains an escape sequence of its
/// own, which cannot be escaped once more.
pub fn misread_by_terraform(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => {
            (text.contains("$${") || text.contains("%%{")).then_some(text.as_str())
        }
        Value::Array(items) => items.iter().find_map(misread_by_terraform),
        Value::Object(members) => members.values().find_map(misread_by_terraform),
        _ => None,
    }
}

/// Terraform reads each text in JSON as a template, unless its markers are doubled.
fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => text.replace("${", "$${").replace("%{", "%%{").into(),
        Value::Array(items) => items.into_iter().map(escaped).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            members
                .map(|(key, member)| (key, escaped(member)))
                .collect()
        }
        other => other,
    }
}

/// The kind and the name as a resource label: letters, digits, hyphens, and underscores for all
/// else.
pub fn terraform_label(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let label = format!(
        "{}_{}",
        text(&object["kind"]),
        text(&object["metadata"]["name"])
    );
    label.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
}
