//! Manifests: as YAML a document each, as JSON one object, or a list of them.

use serde_json::Value;

use crate::plugin::explain::Structured;
use crate::plugin::failure::Failure;
use crate::plugin::output::{Format, document, list, yaml};

/// The manifests of objects.
pub fn written(objects: &[Value], structured: Structured) -> Result<String, Failure> {
    match (structured, objects) {
        (Structured::Json, [object]) => document(object, Format::Json),
        (Structured::Json, objects) => document(&list(objects.to_vec()), Format::Json),
        (Structured::Yaml, objects) => {
            let documents = objects.iter().map(yaml).collect::<Result<Vec<_>, _>>()?;
            Ok(documents.join("---\n"))
        }
    }
}
