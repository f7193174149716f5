//! Patterns become CEL rules with a sentence: what the API server says of a pattern is the pattern, which tells nobody what to write.

use serde_json::{Map, Value, json};

use crate::api::FORMS;

/// Puts the sentence of each pattern, in a schema and everything below it, in the pattern's place.
///
/// The other rules of such a value speak only where its form is right, so that people read one sentence at a time. Fails on a pattern
/// that has no sentence.
pub fn say_in_words(schema: &mut Value) -> Result<(), String> {
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
    let (_, sentence) = form.ok_or_else(|| {
        format!("the pattern {pattern} has no sentence in api::FORMS that shows a right value")
    })?;
    // The API server's own check of a format would speak before the rule, and CEL would see a time in place of the text.
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
}
