//! A Terraform module in HCL, Terraform's own language.

use hcl::expr::{Object, ObjectKey};
use hcl::format::{Format as _, Formatter};
use hcl::{Block, Body, Expression, Number};
use serde_json::{Value, json};

use crate::desk::export::{COMPUTED_FIELDS, terraform_labels};
use crate::plugin::failure::Failure;
use crate::plugin::output::{by_code_point, harmless};

/// A resource for each object.
pub fn module(objects: &[Value]) -> Result<String, Failure> {
    let resources = objects
        .iter()
        .zip(terraform_labels(objects))
        .map(|(object, label)| {
            Block::builder("resource")
                .add_label("kubernetes_manifest")
                .add_label(label)
                .add_attribute(("manifest", expression(object)))
                .add_attribute(("computed_fields", expression(&json!(COMPUTED_FIELDS))))
                .build()
        });
    let body = Body::builder().add_blocks(resources).build();
    let mut formatter = Formatter::builder().prefer_ident_keys(true).build_vec();
    let unwritable = |error: String| Failure::new(format!("cannot export to Terraform: {error}"));
    body.format(&mut formatter)
        .map_err(|error| unwritable(error.to_string()))?;
    let module = String::from_utf8(formatter.into_inner());
    let module = module.map_err(|error| unwritable(error.to_string()))?;
    Ok(harmless(&module, by_code_point))
}

/// Text becomes a string, never a template: the formatter escapes what looks like one.
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
