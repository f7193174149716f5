//! Values for the chart `keyloan-config`: maps of integrations, flows and notifiers, by name.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::unique_names;

/// The values that have the chart create these objects. The key of an entry is the object's name. If
/// objects in several namespaces have the same name, it is `NAMESPACE/NAME`.
pub fn helm_values(objects: &[Value]) -> impl Serialize {
    let keys = unique_names(objects, |namespace, name| format!("{namespace}/{name}"));
    let mut values = Values::default();
    for (object, key) in objects.iter().zip(keys) {
        let entries = match object["kind"].as_str() {
            Some("AccessFlow") => &mut values.flows,
            Some("AccessNotifier") => &mut values.notifiers,
            _ => &mut values.integrations,
        };
        let entry = Entry::of(object, &key);
        entries.insert(key, entry);
    }
    values
}

#[derive(Default, Serialize)]
struct Values<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    integrations: BTreeMap<String, Entry<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    flows: BTreeMap<String, Entry<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    notifiers: BTreeMap<String, Entry<'a>>,
}

/// The fields in the order in which people write them.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Value::is_null")]
    name: &'a Value,
    namespace: &'a Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    labels: &'a Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    annotations: &'a Value,
    spec: &'a Value,
}

impl<'a> Entry<'a> {
    fn of(object: &'a Value, key: &str) -> Self {
        let metadata = &object["metadata"];
        Self {
            name: match metadata["name"] == key {
                true => &Value::Null,
                false => &metadata["name"],
            },
            namespace: &metadata["namespace"],
            labels: &metadata["labels"],
            annotations: &metadata["annotations"],
            spec: &object["spec"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, namespace: &str, name: &str) -> Value {
        let metadata = json!({ "name": name, "namespace": namespace });
        json!({ "kind": kind, "metadata": metadata, "spec": { "in": namespace } })
    }

    #[test]
    fn entries_are_keyed_by_name_and_by_namespace_only_where_a_name_is_there_twice() {
        let objects = [
            object("OnePasswordIntegration", "data", "prod"),
            object("OnePasswordIntegration", "keyloan", "prod"),
            object("AccessFlow", "keyloan", "prod"),
            object("AccessFlow", "keyloan", "oncall"),
        ];
        let values = serde_json::to_value(helm_values(&objects)).unwrap();
        let entry =
            |namespace: &str| json!({ "namespace": namespace, "spec": { "in": namespace } });
        let named = |namespace: &str| {
            let mut entry = entry(namespace);
            entry["name"] = json!("prod");
            entry
        };
        assert_eq!(
            values,
            json!({
                "integrations": { "data/prod": named("data"), "keyloan/prod": named("keyloan") },
                "flows": { "prod": entry("keyloan"), "oncall": entry("keyloan") },
            })
        );
    }

    #[test]
    fn without_objects_there_are_no_values() {
        assert_eq!(serde_json::to_value(helm_values(&[])).unwrap(), json!({}));
    }
}
