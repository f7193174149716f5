//! What every schema needs beyond what the derive macros write.

use serde_json::{Map, Number, Value, json};

/// Complete a schema and everything below it.
pub fn complete(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else {
        return;
    };
    // An absent field says it all; a null beside it would be a second way to say the same.
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

/// The API server knows no `uint32`; and one object with a larger number, once accepted, could not
/// be read by the operator, nor the list that it is in.
fn bound_to_u32(members: &mut Map<String, Value>) {
    members.insert("format".into(), "int64".into());
    members.entry("minimum").or_insert_with(|| json!(0));
    members.entry("maximum").or_insert_with(|| json!(u32::MAX));
}

/// `1.0` is `1`.
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
