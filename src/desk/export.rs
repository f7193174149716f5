//! Integrations and flows as code: the parts that a person would have written, as data for Helm and
//! Terraform.

mod helm;
mod marks;
mod terraform;

use std::collections::BTreeMap;

use serde_json::Value;

pub use helm::helm_values;
pub use terraform::{COMPUTED_FIELDS, misread_by_terraform, terraform_json, terraform_labels};

/// The metadata that a person writes.
const WRITTEN: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// A stored object without status, server fields, and the labels and annotations of tools.
pub fn clean(mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.remove("status");
        if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
            // This needs `managedFields`, which the next line removes.
            marks::remove(metadata);
            metadata.retain(|key, _| WRITTEN.contains(&key.as_str()));
        }
    }
    object
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

/// A name for each object that no other object of its kind has: its own, or one with its namespace
/// if an object in another namespace has the same name.
fn unique_names(objects: &[Value], joined: impl Fn(&str, &str) -> String) -> Vec<String> {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for object in objects {
        *counts.entry(kind_and_name(object)).or_default() += 1;
    }
    let unique = |object: &Value| {
        let (_, name) = kind_and_name(object);
        match counts.get(&kind_and_name(object)) {
            Some(2..) => joined(text(&object["metadata"]["namespace"]), name),
            _ => name.to_owned(),
        }
    };
    objects.iter().map(unique).collect()
}

fn kind_and_name(object: &Value) -> (&str, &str) {
    (text(&object["kind"]), text(&object["metadata"]["name"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
