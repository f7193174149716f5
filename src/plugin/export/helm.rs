//! Values for a Helm chart that takes lists of integrations and flows.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Exported;

/// The values: under the kind's name a list, each entry with the metadata and the spec of an object.
pub fn values(kind: Exported, objects: &[Value]) -> impl Serialize {
    let list = match kind {
        Exported::Integration => "integrations",
        Exported::Flow => "flows",
    };
    let entries: Vec<_> = objects.iter().map(entry).collect();
    BTreeMap::from([(list, entries)])
}

/// In the order in which people write it.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a Value,
    namespace: &'a Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    labels: &'a Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    annotations: &'a Value,
    spec: &'a Value,
}

fn entry(object: &Value) -> Entry<'_> {
    let metadata = &object["metadata"];
    Entry {
        name: &metadata["name"],
        namespace: &metadata["namespace"],
        labels: &metadata["labels"],
        annotations: &metadata["annotations"],
        spec: &object["spec"],
    }
}
