//! Kubernetes objects as YAML text that is the same on every machine and in every build.

use serde_json::{Map, Value};

const ORIGIN: &str = "# Written by `keyloan manifests`; change the code, not this file.\n";

/// The objects as one YAML file: a document each, keys in alphabetical order.
pub fn documents(objects: &[Value]) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 100 };
    let mut text = String::from(ORIGIN);
    for object in objects {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string_with_options(
            &sorted(object),
            options.clone(),
        )?);
    }
    Ok(text)
}

/// The same value with the keys of every object in alphabetical order.
///
/// serde_json keeps that order by itself unless some crate of the build turns its `preserve_order` on.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            Value::Object(
                members
                    .into_iter()
                    .map(|(k, v)| (k.clone(), sorted(v)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    }
}
