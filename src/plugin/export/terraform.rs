//! Terraform: a resource of the type `kubernetes_manifest` for each object.

use hcl::expr::{Object, ObjectKey};
use hcl::format::{Format as _, Formatter};
use hcl::{Block, Body, Expression, Number};
use serde_json::{Map, Value, json};

use crate::plugin::failure::Failure;
use crate::plugin::output::{Format, document};

/// The resources, in Terraform's own language.
pub fn written(objects: &[Value]) -> Result<String, Failure> {
    objects.iter().try_for_each(writable)?;
    let blocks = objects.iter().map(|object| {
        Block::builder("resource")
            .add_label("kubernetes_manifest")
            .add_label(label(object))
            .add_attribute(("manifest", expression(object)))
            .build()
    });
    let body = Body::builder().add_blocks(blocks).build();
    let mut formatter = Formatter::builder().prefer_ident_keys(true).build_vec();
    let unwritable =
        |error: String| Failure::new(format!("cannot write this as Terraform: {error}"));
    body.format(&mut formatter)
        .map_err(|error| unwritable(error.to_string()))?;
    String::from_utf8(formatter.into_inner()).map_err(|error| unwritable(error.to_string()))
}

/// The same for a file `.tf.json`.
pub fn json(objects: &[Value]) -> Result<String, Failure> {
    objects.iter().try_for_each(writable)?;
    let resources = objects.iter().map(|object| {
        let resource = json!({ "manifest": escaped(object.clone()) });
        (label(object), resource)
    });
    let resources: Map<_, _> = resources.collect();
    let body = json!({ "resource": { "kubernetes_manifest": resources } });
    document(&body, Format::Json)
}

/// What escapes a template by its own wish cannot be escaped once more without doubt.
fn writable(value: &Value) -> Result<(), Failure> {
    match value {
        Value::String(text) if text.contains("$${") || text.contains("%%{") => {
            let failure = Failure::new(format!(
                "cannot write this as Terraform: it would take a part of {text:?} for an escape"
            ));
            Err(failure
                .next("write that text in another way, or export without --format terraform"))
        }
        Value::Array(items) => items.iter().try_for_each(writable),
        Value::Object(members) => members.values().try_for_each(writable),
        _ => Ok(()),
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
fn label(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let label = format!(
        "{}_{}",
        text(&object["kind"]),
        text(&object["metadata"]["name"])
    );
    label.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
}

/// Text becomes a string, never a template: what looks like one is escaped when it is written.
fn expression(value: &Value) -> Expression {
    match value {
        Value::Null => Expression::Null,
        Value::Bool(truth) => Expression::Bool(*truth),
        Value::Number(number) => number_expression(number),
        Value::String(text) => Expression::String(text.clone()),
        Value::Array(items) => Expression::Array(items.iter().map(expression).collect()),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, member)| (key_expression(key), expression(member)));
            Expression::Object(members.collect::<Object<_, _>>())
        }
    }
}

fn key_expression(key: &str) -> ObjectKey {
    ObjectKey::Expression(Expression::String(key.to_owned()))
}

fn number_expression(number: &serde_json::Number) -> Expression {
    let number = number
        .as_i64()
        .map(Number::from)
        .or_else(|| number.as_u64().map(Number::from))
        .or_else(|| number.as_f64().and_then(Number::from_f64));
    number.map_or(Expression::Null, Expression::Number)
}
