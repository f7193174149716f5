//! JSON merge patches (RFC 7386) with the difference between two values.

use serde_json::{Map, Value};

/// The merge patch that turns `from` into `to`; `None` if they are equal. Lists are replaced as a
/// whole.
pub(super) fn between(from: &Value, to: &Value) -> Option<Value> {
    match (from, to) {
        _ if from == to => None,
        (Value::Object(from), Value::Object(to)) => {
            let mut changes = Map::new();
            for key in from.keys().filter(|key| !to.contains_key(*key)) {
                changes.insert(key.clone(), Value::Null);
            }
            for (key, value) in to {
                let change = match from.get(key) {
                    Some(before) => between(before, value),
                    None => Some(value.clone()),
                };
                if let Some(change) = change {
                    changes.insert(key.clone(), change);
                }
            }
            Some(Value::Object(changes))
        }
        _ => Some(to.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[rstest::rstest]
    #[case::the_same(json!({"a": 1}), json!({"a": 1}), None)]
    #[case::changed(json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3}), Some(json!({"b": 3})))]
    #[case::removed(json!({"a": 1, "b": 2}), json!({"a": 1}), Some(json!({"b": null})))]
    #[case::added(json!({}), json!({"a": {"b": 1}}), Some(json!({"a": {"b": 1}})))]
    #[case::nested(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1}}), Some(json!({"a": {"c": null}})))]
    #[case::lists_as_a_whole(json!({"a": [1, 2]}), json!({"a": [2]}), Some(json!({"a": [2]})))]
    #[case::from_nothing(Value::Null, json!({"a": 1}), Some(json!({"a": 1})))]
    fn a_patch_says_what_differs(
        #[case] from: Value,
        #[case] to: Value,
        #[case] expected: Option<Value>,
    ) {
        assert_eq!(between(&from, &to), expected);
    }
}
