//! A Terraform module with one resource of type `kubernetes_manifest` for each object.
//!
//! The second plan is empty, because the manifests have every field as the API server stores it,
//! defaults included. Others may add labels and annotations: the provider takes these from the
//! server.

use serde_json::{Map, Value, json};

use super::{text, unique_names};

/// The fields that others may change without a difference in the plan.
pub const COMPUTED_FIELDS: [&str; 2] = ["metadata.labels", "metadata.annotations"];

/// A `.tf.json` file with a resource for each object.
pub fn terraform_json(objects: &[Value]) -> Value {
    let resources = objects.iter().zip(terraform_labels(objects));
    let resources = resources.map(|(object, label)| {
        let manifest = escaped(object.clone());
        let resource = json!({ "manifest": manifest, "computed_fields": COMPUTED_FIELDS });
        (label, resource)
    });
    let resources: Map<_, _> = resources.collect();
    match resources.is_empty() {
        true => json!({}),
        false => json!({ "resource": { "kubernetes_manifest": resources } }),
    }
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

/// The label of each object's resource: its kind and name, such as `accessflow_oncall`. If objects
/// in several namespaces have the same name, the namespace precedes it: `accessflow_data__oncall`.
///
/// A label has letters, digits, hyphens, and underscores for all else. Names have no underscores and
/// no two dots in a row, so no two objects get the same label.
pub fn terraform_labels(objects: &[Value]) -> Vec<String> {
    let names = unique_names(objects, |namespace, name| format!("{namespace}__{name}"));
    let labels = objects.iter().zip(names).map(|(object, name)| {
        let label = format!("{}_{name}", text(&object["kind"]).to_lowercase());
        label.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
    });
    labels.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_a_label_of_its_own() {
        let object = |kind: &str, namespace: &str, name: &str| json!({ "kind": kind, "metadata": { "namespace": namespace, "name": name } });
        let objects = [
            object("AccessFlow", "keyloan", "on.call"),
            object("AccessFlow", "keyloan", "on-call"),
            object("AccessFlow", "keyloan", "databases"),
            object("AccessFlow", "data", "databases"),
            object("AccessFlow", "keyloan", "data.databases"),
            object("OnePasswordIntegration", "keyloan", "databases"),
        ];
        assert_eq!(
            terraform_labels(&objects),
            [
                "accessflow_on_call",
                "accessflow_on-call",
                "accessflow_keyloan__databases",
                "accessflow_data__databases",
                "accessflow_data_databases",
                "onepasswordintegration_databases",
            ]
        );
    }
}
