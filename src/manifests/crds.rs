//! The CustomResourceDefinitions of the six kinds, generated from the types in `api`.

use kube::CustomResourceExt;
use serde_json::{Map, Number, Value, json};

use super::error::ManifestError;
use crate::api::{
    AccessDecision, AccessFlow, AccessGrant, AccessNotifier, AccessRecord, FORMS,
    OnePasswordIntegration,
};

/// The definitions, each with the plural name of its kind.
///
/// Adds what the derive macros cannot express: the status of an object before its first pass,
/// bounds that keep every accepted object readable, and how lists merge.
pub fn crds() -> Result<Vec<(String, Value)>, ManifestError> {
    [
        OnePasswordIntegration::crd(),
        AccessFlow::crd(),
        AccessGrant::crd(),
        AccessDecision::crd(),
        AccessRecord::crd(),
        AccessNotifier::crd(),
    ]
    .into_iter()
    .map(|crd| {
        let plural = crd.spec.names.plural.clone();
        let build = |why: String| ManifestError::Build {
            what: plural.clone(),
            why,
        };
        let mut crd = serde_json::to_value(crd).map_err(|error| build(error.to_string()))?;
        let root = crd
            .pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
            .ok_or_else(|| build("it has no schema".into()))?;
        complete_root(root);
        say_in_words(root).map_err(build)?;
        complete(root);
        write_defaults_out(&mut crd);
        Ok((plural, crd))
    })
    .collect()
}

/// Adds what the API server would fill in, so that a tool that compares the definition with the
/// stored one finds no difference.
fn write_defaults_out(crd: &mut Value) {
    let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
    crd["spec"]["names"]["listKind"] = format!("{kind}List").into();
    crd["spec"]["conversion"] = json!({ "strategy": "None" });
}

/// Completes what only the root of a schema has: the kind's description and the default of its
/// status.
fn complete_root(root: &mut Value) {
    if let Some(description) = root.pointer("/properties/spec/description").cloned() {
        root["description"] = description;
    }
    if let Some(members) = root.as_object_mut() {
        members.remove("title");
    }
    // Without it, tools that wait for an object treat a new one as done.
    if let Some(status) = root.pointer_mut("/properties/status") {
        status["default"] = json!({ "observedGeneration": -1 });
    }
}

/// Replaces each pattern in a schema and everything below it with a CEL rule and its message: the
/// API server's own message shows only the pattern, which does not explain what to write.
///
/// The other rules of the value apply only if it matches the pattern, so that people read one
/// message at a time. Fails on a pattern without a message.
fn say_in_words(schema: &mut Value) -> Result<(), String> {
    let Some(members) = schema.as_object_mut() else {
        return Ok(());
    };
    if let Some(pattern) = members.remove("pattern") {
        replace(members, pattern.as_str().unwrap_or_default())?;
    }
    for children in ["properties", "patternProperties"] {
        let children = members.get_mut(children).and_then(Value::as_object_mut);
        for child in children.into_iter().flat_map(Map::values_mut) {
            say_in_words(child)?;
        }
    }
    for child in ["items", "additionalProperties"] {
        members.get_mut(child).map_or(Ok(()), say_in_words)?;
    }
    Ok(())
}

fn replace(members: &mut Map<String, Value>, pattern: &str) -> Result<(), String> {
    let form = FORMS.iter().find(|(known, _)| *known == pattern);
    let (_, sentence) =
        form.ok_or_else(|| format!("api::FORMS has no message for the pattern {pattern}"))?;
    // The API server would check the format before the rule, and CEL would see a time instead of a
    // string.
    members.remove("format");
    let matches = format!("self.matches(r\"{pattern}\")");
    let mut rules = vec![json!({ "rule": matches, "message": sentence })];
    let others = members.remove("x-kubernetes-validations");
    for mut rule in others.into_iter().flat_map(as_list) {
        let text = rule["rule"].as_str().unwrap_or_default();
        rule["rule"] = format!("!{matches} || ({text})").into();
        rules.push(rule);
    }
    members.insert("x-kubernetes-validations".into(), rules.into());
    Ok(())
}

fn as_list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        other => vec![other],
    }
}

/// Completes a schema and everything below it.
fn complete(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else {
        return;
    };
    // An absent field and a null would mean the same.
    members.remove("nullable");
    if members.get("format").and_then(Value::as_str) == Some("uint32") {
        bound_to_u32(members);
    }
    for bound in ["minimum", "maximum"] {
        write_as_integer(members, bound);
    }
    if members.get("type").and_then(Value::as_str) == Some("array") {
        members
            .entry("x-kubernetes-list-type")
            .or_insert_with(|| "atomic".into());
    }
    for children in ["properties", "patternProperties"] {
        if let Some(properties) = members.get_mut(children).and_then(Value::as_object_mut) {
            properties.values_mut().for_each(complete);
        }
    }
    for child in ["items", "additionalProperties"] {
        if let Some(child) = members.get_mut(child) {
            complete(child);
        }
    }
}

/// The API server does not know `uint32`. If it accepted a larger number, the operator could not
/// read the object, nor any list that contains it.
fn bound_to_u32(members: &mut Map<String, Value>) {
    members.insert("format".into(), "int64".into());
    members.entry("minimum").or_insert_with(|| json!(0));
    members.entry("maximum").or_insert_with(|| json!(u32::MAX));
}

/// Writes `1.0` as `1`.
fn write_as_integer(members: &mut Map<String, Value>, bound: &str) {
    if let Some(value) = members.get_mut(bound)
        && let Some(number) = value.as_f64()
        && number.fract() == 0.0
    {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "bounds are small whole numbers"
        )]
        let whole = number as i64;
        *value = Value::Number(Number::from(whole));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LABEL_PATTERN;

    #[test]
    fn a_pattern_becomes_a_rule_with_a_sentence_and_the_other_rules_wait_for_it() {
        let mut schema = json!({ "properties": { "a": { "items": {
            "type": "string",
            "format": "date-time",
            "pattern": LABEL_PATTERN,
            "x-kubernetes-validations": [{ "rule": "self != 'x'", "message": "not x" }],
        }}}});
        say_in_words(&mut schema).unwrap();
        let matches = format!("self.matches(r\"{LABEL_PATTERN}\")");
        let sentence =
            "must consist of lower-case letters, digits and inner dashes, such as team-a";
        assert_eq!(
            schema["properties"]["a"]["items"],
            json!({
                "type": "string",
                "x-kubernetes-validations": [
                    { "rule": matches, "message": sentence },
                    { "rule": format!("!{matches} || (self != 'x')"), "message": "not x" },
                ],
            })
        );
    }

    #[test]
    fn a_pattern_without_a_sentence_ends_in_no_definition() {
        let mut schema = json!({ "type": "string", "pattern": "^secret$" });
        assert!(say_in_words(&mut schema).unwrap_err().contains("^secret$"));
    }

    #[test]
    fn a_number_of_32_bits_is_bounded_to_what_the_operator_can_read() {
        let mut schema = json!({ "type": "integer", "format": "uint32", "minimum": 1.0 });
        complete(&mut schema);
        assert_eq!(
            schema,
            json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": u32::MAX })
        );
    }

    #[test]
    fn a_list_is_atomic_unless_it_says_otherwise() {
        let mut schema = json!({
            "type": "object",
            "properties": {
                "a": { "type": "array", "items": { "type": "string", "nullable": true } },
                "b": { "type": "array", "items": {}, "x-kubernetes-list-type": "set" },
            },
        });
        complete(&mut schema);
        assert_eq!(
            schema["properties"],
            json!({
                "a": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "atomic" },
                "b": { "type": "array", "items": {}, "x-kubernetes-list-type": "set" },
            })
        );
    }
}
