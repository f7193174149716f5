//! The values schema of the chart `keyloan-config`. The specs in it are those of the CRDs, so that
//! helm reports a misspelled field or value before anything reaches the cluster.
//!
//! It leaves the forms of texts and the rules in CEL to the API server, which explains them in
//! sentences.

use std::path::Path;

use k8s_openapi::api::core::v1::ResourceQuotaSpec;
use k8s_openapi::api::rbac::v1::Subject;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::crds::crds;
use super::error::ManifestError;
use super::files::{sorted, write_file};

const FILE: &str = "values.schema.json";

/// The ClusterRoles of the chart `keyloan` for people.
const ROLES: [&str; 5] = [
    "keyloan-requester",
    "keyloan-approver",
    "keyloan-admin",
    "keyloan-auditor",
    "keyloan-viewer",
];

/// The content of the chart's `values.schema.json`.
pub fn config_schema() -> Result<String, ManifestError> {
    let mut schema = closed(&json!({
        "type": "object",
        "properties": {
            "global": {
                "type": "object",
                "description": "Values that Helm passes to subcharts; this chart uses none of them.",
            },
            "enabled": {
                "type": "boolean",
                "description": "Whether the chart creates anything.",
            },
            "namespace": {
                "type": "string",
                "description": "The namespace of integrations, flows and notifiers whose entry names none. If empty, the release's namespace.",
                "maxLength": 63,
            },
            "commonLabels": texts("Labels of every object that the chart creates."),
            "commonAnnotations": texts("Annotations of every object that the chart creates."),
            "integrations": entries("OnePasswordIntegrations by name.", in_one_namespace(&spec_of("onepasswordintegrations")?)),
            "notifiers": entries("AccessNotifiers by name.", in_one_namespace(&spec_of("accessnotifiers")?)),
            "flows": entries("AccessFlows by name.", in_one_namespace(&spec_of("accessflows")?)),
            "roleBindings": entries("RoleBindings by name, one in each of their namespaces.", role_binding()?),
            "quotas": entries("ResourceQuotas by name, one in each of their namespaces.", quota()?),
            "extraObjects": {
                "type": "array",
                "description": "Further objects. A text is a template.",
                "items": { "type": ["object", "string"] },
            },
        },
    }));
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    let text = serde_json::to_string_pretty(&sorted(&schema)).map_err(|error| build(&error))?;
    Ok(text + "\n")
}

/// Writes the values schema into the folder of the chart.
pub fn write_config_schema(chart: &Path) -> Result<(), ManifestError> {
    write_file(chart, FILE, &config_schema()?)
}

/// A map of entries by name.
fn entries(description: &str, entry: Value) -> Value {
    json!({ "type": "object", "description": description, "additionalProperties": entry })
}

fn in_one_namespace(spec: &Value) -> Value {
    let namespace = json!({
        "type": "string",
        "description": "The object's namespace. If empty, the value namespace, or the release's namespace.",
        "maxLength": 63,
    });
    entry(
        "An object of Keyloan.",
        &["spec"],
        json!({ "namespace": namespace, "spec": spec }),
    )
}

fn role_binding() -> Result<Value, ManifestError> {
    let mut subject = of_kubernetes::<Subject>()?;
    subject["properties"]["kind"]["enum"] = json!(["User", "Group", "ServiceAccount"]);
    let members = json!({
        "namespaces": namespaces(),
        "role": {
            "type": "string",
            "description": "A ClusterRole of the chart keyloan.",
            "enum": ROLES,
        },
        "subjects": {
            "type": "array",
            "description": "The people, groups and ServiceAccounts that get the role. A ServiceAccount without a namespace is in the namespace of the RoleBinding.",
            "items": subject,
            "minItems": 1,
        },
    });
    let required = ["namespaces", "role", "subjects"];
    Ok(entry("A RoleBinding.", &required, members))
}

fn quota() -> Result<Value, ManifestError> {
    let mut spec = of_kubernetes::<ResourceQuotaSpec>()?;
    // A count may be written without quotes.
    spec["properties"]["hard"]["additionalProperties"] = json!({ "type": ["integer", "string"] });
    spec["required"] = json!(["hard"]);
    let members = json!({ "namespaces": namespaces(), "spec": spec });
    Ok(entry("A ResourceQuota.", &["namespaces", "spec"], members))
}

/// The members that all entries have, and these.
fn entry(description: &str, required: &[&str], members: Value) -> Value {
    let mut properties = json!({
        "name": {
            "type": "string",
            "description": "The object's name. If empty, the key of the entry.",
            "maxLength": 253,
        },
        "labels": texts("Labels of the object."),
        "annotations": texts("Annotations of the object."),
    });
    if let (Some(all), Value::Object(members)) = (properties.as_object_mut(), members) {
        all.extend(members);
    }
    json!({
        "type": "object",
        "description": description,
        "properties": properties,
        "required": required,
    })
}

fn namespaces() -> Value {
    json!({
        "type": "array",
        "description": "The namespaces in which the chart creates the object.",
        "items": { "type": "string", "minLength": 1, "maxLength": 63 },
        "minItems": 1,
        "uniqueItems": true,
    })
}

fn texts(description: &str) -> Value {
    let text = json!({ "type": "string" });
    json!({ "type": "object", "description": description, "additionalProperties": text })
}

/// The schema of a kind's spec.
fn spec_of(plural: &str) -> Result<Value, ManifestError> {
    const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let crds = crds()?;
    let crd = crds.iter().find(|(name, _)| name == plural);
    let spec = crd.and_then(|(_, crd)| crd.pointer(SPEC)).cloned();
    spec.ok_or_else(|| build(&format_args!("{plural} has no spec")))
}

/// The schema of a part of Kubernetes' API.
fn of_kubernetes<T: JsonSchema>() -> Result<Value, ManifestError> {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    serde_json::to_value(schema).map_err(|error| build(&error))
}

fn build(why: &impl ToString) -> ManifestError {
    ManifestError::Build {
        what: format!("the {FILE} of the chart keyloan-config"),
        why: why.to_string(),
    }
}

/// A schema as JSON Schema that allows no member that it does not describe, and null for each member
/// that may be absent: with null, a value file removes what an earlier one has set.
fn closed(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else {
        return schema.clone();
    };
    let mut kept = Map::new();
    for (name, member) in members {
        // JSON Schema knows no other formats, and helm applies no defaults.
        if name.starts_with("x-")
            || ["default", "format", "nullable", "title"].contains(&name.as_str())
        {
            continue;
        }
        let member = match name.as_str() {
            "properties" => properties(member, members.get("required")),
            "items" => closed(member),
            "additionalProperties" if member.is_object() => or_null(closed(member)),
            _ => member.clone(),
        };
        kept.insert(name.clone(), member);
    }
    let is_described = kept.contains_key("properties");
    if is_described && !kept.contains_key("additionalProperties") {
        kept.insert("additionalProperties".into(), json!(false));
    }
    Value::Object(kept)
}

fn properties(properties: &Value, required: Option<&Value>) -> Value {
    let is_required = |name: &String| {
        let required = required.and_then(Value::as_array);
        required.is_some_and(|required| required.iter().any(|r| r == name))
    };
    let properties = properties.as_object().into_iter().flatten();
    let properties = properties.map(|(name, schema)| {
        let schema = closed(schema);
        let schema = match is_required(name) {
            true => schema,
            false => or_null(schema),
        };
        (name.clone(), schema)
    });
    Value::Object(properties.collect())
}

fn or_null(mut schema: Value) -> Value {
    if let Some(members) = schema.as_object_mut() {
        match members.get_mut("type") {
            Some(Value::Array(types)) => types.push(json!("null")),
            Some(one) => *one = json!([one.take(), "null"]),
            None => {}
        }
        if let Some(values) = members.get_mut("enum").and_then(Value::as_array_mut) {
            values.push(Value::Null);
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_closed_and_null_stands_for_an_absent_member() {
        let schema = json!({
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": { "type": "string", "enum": ["x"] },
                "b": { "type": "string", "enum": ["x"], "default": "x" },
                "c": { "type": "object", "properties": { "d": { "type": ["integer", "string"] } } },
                "e": { "type": "object", "additionalProperties": { "type": "string" } },
            },
            "x-kubernetes-validations": [],
        });
        assert_eq!(
            closed(&schema),
            json!({
                "type": "object",
                "required": ["a"],
                "additionalProperties": false,
                "properties": {
                    "a": { "type": "string", "enum": ["x"] },
                    "b": { "type": ["string", "null"], "enum": ["x", null] },
                    "c": {
                        "type": ["object", "null"],
                        "additionalProperties": false,
                        "properties": { "d": { "type": ["integer", "string", "null"] } },
                    },
                    "e": {
                        "type": ["object", "null"],
                        "additionalProperties": { "type": ["string", "null"] },
                    },
                },
            })
        );
    }
}
