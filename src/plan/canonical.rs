//! Writes values into a hash so that different values are never written the same way, independent
//! of any serializer.

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A hash in progress. Each text is written with its length, each list with its count. The cluster
/// keeps hashes for longer than this program runs, so the format never changes.
#[derive(Default)]
pub(super) struct Canonical(Sha256);

impl Canonical {
    /// Writes the values of a field, with its name.
    pub(super) fn field<T: AsRef<str>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        let values: Vec<T> = values.into_iter().collect();
        self.text(name).count(values.len());
        for value in &values {
            self.text(value.as_ref());
        }
        self
    }

    /// Writes JSON, with the members of objects sorted by name.
    pub(super) fn json(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(name, _)| *name);
                self.text("object").count(members.len());
                for (name, value) in members {
                    self.text(name).json(value);
                }
                self
            }
            Value::Array(items) => {
                self.text("array").count(items.len());
                for item in items {
                    self.json(item);
                }
                self
            }
            Value::String(text) => self.text("string").text(text),
            scalar => self.text("scalar").text(&scalar.to_string()),
        }
    }

    /// The hash: `sha256:` and 64 hexadecimal digits.
    pub(super) fn finish(self) -> String {
        format!("sha256:{}", HEXLOWER.encode(&self.0.finalize()))
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.count(text.len());
        self.0.update(text.as_bytes());
        self
    }

    fn count(&mut self, count: usize) -> &mut Self {
        self.0.update((count as u64).to_le_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_values_are_written_differently() {
        let of = |fields: &[(&str, &[&str])]| {
            let mut hash = Canonical::default();
            for (name, values) in fields {
                hash.field(name, *values);
            }
            hash.finish()
        };
        let different = [
            of(&[]),
            of(&[("", &[])]),
            of(&[("a", &[])]),
            of(&[("a", &[""])]),
            of(&[("a", &["b", "c"])]),
            of(&[("a", &["bc"])]),
            of(&[("ab", &["c"])]),
            of(&[("a", &["b"]), ("c", &[])]),
            of(&[("a", &[]), ("b", &["c"])]),
        ];
        let hashes: std::collections::BTreeSet<_> = different.iter().collect();
        assert_eq!(hashes.len(), different.len());
    }

    #[test]
    fn different_json_is_written_differently_and_the_order_of_members_means_nothing() {
        let of = |json: &str| {
            let mut hash = Canonical::default();
            hash.json(&serde_json::from_str(json).expect("JSON"));
            hash.finish()
        };
        let different = [
            "{}",
            "[]",
            "null",
            "1",
            "true",
            r#""""#,
            r#""null""#,
            r#""1""#,
            r#"["a", "b"]"#,
            r#"["b", "a"]"#,
            r#"["ab"]"#,
            r#"[["a"], "b"]"#,
            r#"{"a": "b"}"#,
            r#"{"ab": ""}"#,
            r#"{"a": {"b": 1}, "c": 2}"#,
            r#"{"a": {"b": 1, "c": 2}}"#,
        ];
        let hashes: std::collections::BTreeSet<_> = different.iter().map(|json| of(json)).collect();
        assert_eq!(hashes.len(), different.len());
        assert_eq!(of(r#"{"a": 1, "b": 2}"#), of(r#"{"b": 2, "a": 1}"#));
    }
}
