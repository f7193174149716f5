//! Compares the kinds that the API server serves with those of this operator. An older kind would
//! drop fields that the operator writes, and a newer one has fields that the operator does not
//! know.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The fields of each kind, by the kind's name: paths such as `spec.item.vault`, and
/// `spec.decision=Deny` for each value of an enum.
pub type Fields = BTreeMap<String, BTreeSet<String>>;

/// The fields of the kinds in these definitions.
pub fn fields_of(definitions: &[Value]) -> Fields {
    let fields = |definition: &Value| {
        let kind = definition.pointer("/spec/names/kind")?.as_str()?.to_owned();
        let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema")?;
        Some((kind, fields_of_schema(schema)))
    };
    definitions.iter().filter_map(fields).collect()
}

/// The fields of all kinds that an OpenAPI document of the API server describes.
pub fn fields_served(document: &Value) -> Fields {
    let schemas = document.pointer("/components/schemas");
    let schemas = schemas.and_then(Value::as_object).into_iter().flatten();
    let fields = |(_, schema): (&String, &Value)| {
        let kind = schema.pointer("/x-kubernetes-group-version-kind/0/kind")?;
        Some((kind.as_str()?.to_owned(), fields_of_schema(schema)))
    };
    schemas.filter_map(fields).collect()
}

/// The first difference between the served kinds and this operator's, and what to do.
pub fn misfit(ours: &Fields, served: &Fields) -> Option<String> {
    let none = BTreeSet::new();
    if ours.keys().all(|kind| !served.contains_key(kind)) {
        return Some(
            "the kinds of keyloan.dev are not installed: install the chart keyloan-crds; the \
             operator waits for them"
                .into(),
        );
    }
    let lacks = |(kind, fields): (&String, &BTreeSet<String>)| {
        let Some(there) = served.get(kind) else {
            return Some(format!(
                "the kind {kind} is not installed: upgrade the chart keyloan-crds (helm upgrade \
                 keyloan-crds)"
            ));
        };
        let field = fields.difference(there).next()?;
        Some(format!(
            "the kind {kind} is older than this operator and has no {field}: upgrade the chart \
             keyloan-crds (helm upgrade keyloan-crds)"
        ))
    };
    let exceeds = |(kind, fields): (&String, &BTreeSet<String>)| {
        let there = served.get(kind).unwrap_or(&none);
        let field = there.difference(fields).next()?;
        Some(format!(
            "the kind {kind} is newer than this operator, which does not know its {field}: upgrade the operator (helm upgrade keyloan)"
        ))
    };
    ours.iter()
        .find_map(lacks)
        .or_else(|| ours.iter().find_map(exceeds))
}

fn fields_of_schema(schema: &Value) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for part in ["spec", "status"] {
        if let Some(schema) = schema["properties"].get(part) {
            collect(schema, part, &mut fields);
        }
    }
    fields
}

fn collect(schema: &Value, path: &str, fields: &mut BTreeSet<String>) {
    fields.insert(path.to_owned());
    let choices = schema["enum"].as_array().into_iter().flatten();
    fields.extend(choices.map(|choice| format!("{path}={}", choice.as_str().unwrap_or_default())));
    let members = schema["properties"].as_object().into_iter().flatten();
    for (name, member) in members {
        collect(member, &format!("{path}.{name}"), fields);
    }
    for items in ["items", "additionalProperties"] {
        if schema[items].is_object() {
            collect(&schema[items], path, fields);
        }
    }
}
