//! An object as a person would have written it: without what the cluster adds.

use kube::api::DynamicObject;
use serde_json::{Map, Value};

use crate::plugin::failure::Failure;

/// What of an object's metadata a person writes.
const WRITTEN: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// By what tools keep their own notes in annotations.
const TOOLS: [&str; 3] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/",
    "argocd.argoproj.io/",
];

/// The object without status, server fields and tools' notes.
pub fn clean(object: DynamicObject) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(object)
        .map_err(|error| Failure::new(format!("cannot read the object: {error}")))?;
    if let Some(members) = value.as_object_mut() {
        members.remove("status");
        if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
            clean_metadata(metadata);
        }
    }
    Ok(value)
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
