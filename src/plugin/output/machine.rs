//! Output for programs: objects as JSON, YAML or names, as kubectl prints them.

use clap::ValueEnum;
use kube::{Resource, ResourceExt};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use serde_saphyr::DoubleQuoted;

use super::standard_output::put;
use crate::api::GROUP;
use crate::desk::visible::steers;
use crate::plugin::failure::Failure;

/// An output format for objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Only the name, in the form that kubectl accepts.
    Name,
}

/// An output format for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Structured {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// The format of the whole object; `None` if only its name is printed.
    fn structured(self) -> Option<Structured> {
        match self {
            Self::Json => Some(Structured::Json),
            Self::Yaml => Some(Structured::Yaml),
            Self::Name => None,
        }
    }
}

/// Prints an object.
pub fn print_object<K>(object: &K, format: Format) -> Result<(), Failure>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    match format.structured() {
        None => put(name(object)),
        Some(structured) => print_value(&cleaned(object)?, structured),
    }
}

/// Prints objects as one `List`, or their names.
pub fn objects<K>(objects: &[K], format: Format) -> Result<(), Failure>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let Some(structured) = format.structured() else {
        return objects.iter().try_for_each(|object| put(name(object)));
    };
    let items = objects.iter().map(cleaned).collect::<Result<_, _>>()?;
    print_value(&list(items), structured)
}

/// Prints a value.
pub fn print_value(value: &impl Serialize, structured: Structured) -> Result<(), Failure> {
    put(document(value, structured)?.trim_end())
}

/// A `List`, as kubectl makes it.
pub fn list(items: Vec<Value>) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// A value as JSON or YAML text.
pub fn document(value: &impl Serialize, structured: Structured) -> Result<String, Failure> {
    let unprintable = |error: String| Failure::new(format!("cannot print the result: {error}"));
    match structured {
        Structured::Yaml => yaml(value),
        Structured::Json => {
            let json = serde_json::to_string_pretty(value);
            let json = json.map_err(|e| unprintable(e.to_string()))?;
            Ok(harmless(&json, by_utf_16))
        }
    }
}

/// A value as YAML text.
pub fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    let unprintable =
        |error: String| Failure::new(format!("cannot print the result as YAML: {error}"));
    let plain = serde_saphyr::to_string(value).map_err(|e| unprintable(e.to_string()))?;
    if !plain.chars().any(is_harmful) {
        return Ok(plain);
    }
    // This sorts the fields, which no program minds.
    let value = serde_json::to_value(value).map_err(|e| unprintable(e.to_string()))?;
    let quoted = serde_saphyr::to_string(&Quoted(&value));
    let quoted = quoted.map_err(|e| unprintable(e.to_string()))?;
    Ok(harmless(&quoted, by_code_point))
}

/// A value of which YAML has each harmful text in double quotes, the only ones in which it knows
/// escapes.
struct Quoted<'a>(&'a Value);

impl Serialize for Quoted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if text.chars().any(is_harmful) => {
                DoubleQuoted(text).serialize(serializer)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Quoted)),
            // In Kubernetes, keys are ASCII.
            Value::Object(members) => match members.keys().find(|key| key.contains(is_harmful)) {
                Some(key) => Err(S::Error::custom(format!(
                    "the key {key:?} is not plain text"
                ))),
                None => serializer.collect_map(members.iter().map(|(k, v)| (k, Quoted(v)))),
            },
            other => other.serialize(serializer),
        }
    }
}

/// Escapes the characters that control a terminal, in a text that has them only in strings that know
/// escapes. Line ends and tabs stay.
pub fn harmless(text: &str, escape: impl Fn(char) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_harmful(c) {
            true => shown.push_str(&escape(c)),
            false => shown.push(c),
        }
    }
    shown
}

fn is_harmful(c: char) -> bool {
    steers(c) && !matches!(c, '\n' | '\t')
}

/// The escape of JSON: `\u202e`, and two for a character beyond the first 65,536.
fn by_utf_16(c: char) -> String {
    let units = c.encode_utf16(&mut [0; 2]).to_vec();
    units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// The escape of YAML and HCL: `\u202e` or `\U000e0041`.
pub fn by_code_point(c: char) -> String {
    match u32::from(c) {
        short @ ..=0xffff => format!("\\u{short:04x}"),
        long => format!("\\U{long:08x}"),
    }
}

/// `accessgrant.keyloan.dev/alice-db`.
fn name<K: Resource<DynamicType = ()>>(object: &K) -> String {
    let kind = K::kind(&()).to_lowercase();
    format!("{kind}.{GROUP}/{}", object.name_any())
}

/// The object without `managedFields`, which kubectl leaves out, too.
fn cleaned(object: &impl Serialize) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(object)
        .map_err(|error| Failure::new(format!("cannot print the result: {error}")))?;
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that controls a terminal, ends values early, or looks like another kind of value.
    const HOSTILE: &[&str] = &[
        "\u{1b}[2K\u{9b}2K\u{202e}\u{200d}\u{e0041}\0\u{7f}",
        "line 1\r\nline 2\u{85}\u{2028}line 3\n\n",
        "a folder \\\u{202e}and\n\u{ad}a 'line' of a block\n",
        "\u{2066}",
        "a: b\n---\nkind: Secret # ",
        "{{ .Values.x }}",
        "  - *alias &anchor !tag",
        "yes",
        "0x10",
        "\"quoted\" 'and' \\u001b",
        "",
    ];

    #[rstest::rstest]
    #[case(Structured::Json)]
    #[case(Structured::Yaml)]
    fn programs_read_exactly_what_is_there_and_terminals_are_not_steered(
        #[case] format: Structured,
    ) {
        let text = document(&json!({ "hostile": HOSTILE }), format).unwrap();
        let read: Value = match format {
            Structured::Json => serde_json::from_str(&text).unwrap(),
            _ => serde_saphyr::from_str(&text).unwrap(),
        };
        assert_eq!(read["hostile"], json!(HOSTILE), "{text}");
        let steering = text.chars().filter(|c| steers(*c) && *c != '\n');
        assert_eq!(steering.count(), 0, "{text}");
    }

    #[test]
    fn yaml_has_no_escape_for_a_key_that_steers() {
        let refused = yaml(&json!({ "\u{202e}key": 1 })).unwrap_err();
        assert!(refused.message.contains("is not plain text"), "{refused:?}");
    }
}
