//! Integrations and flows as code: what of them a person would have written, in the forms that Helm and Terraform read.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What of an object's metadata a person writes.
const WRITTEN: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// By what tools keep their own notes in annotations.
const TOOLS: [&str; 3] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/",
    "argocd.argoproj.io/",
];

/// A stored object without status, server fields and tools' notes.
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

/// The Secret in which an integration's token lies.
pub fn token_secret(object: &Value) -> Option<&str> {
    object
        .pointer("/spec/auth/serviceAccountToken/secretRef/name")?
        .as_str()
}

/// Values for a Helm chart that takes a list of this name: each entry has the metadata and the spec of an object.
pub fn helm_values(list: &str, objects: &[Value]) -> impl Serialize {
    let entries: Vec<_> = objects.iter().map(HelmEntry::of).collect();
    BTreeMap::from([(list, entries)])
}

/// In the order in which people write it.
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

/// A file `.tf.json` with a resource of the type `kubernetes_manifest` for each object.
pub fn terraform_json(objects: &[Value]) -> Value {
    let resources = objects.iter().map(|object| {
        let resource = json!({ "manifest": escaped(object.clone()) });
        (terraform_label(object), resource)
    });
    let resources: Map<_, _> = resources.collect();
    json!({ "resource": { "kubernetes_manifest": resources } })
}

/// A text that Terraform would read as another one: what escapes a template by its own wish cannot be escaped once more without doubt.
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

/// In JSON, too, Terraform takes each text for a template, but for what is doubled.
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

/// The kind and the name as one word, another one for each name: letters, digits, hyphens, and underscores for full stops.
pub fn terraform_label(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let label = format!(
        "{}_{}",
        text(&object["kind"]),
        text(&object["metadata"]["name"])
    );
    label.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
}
