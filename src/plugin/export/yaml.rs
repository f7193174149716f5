//! Manifests, a document each.

use serde_json::Value;

use crate::plugin::failure::Failure;
use crate::plugin::output;

/// The manifests of objects.
pub fn written(objects: &[Value]) -> Result<String, Failure> {
    let documents = objects
        .iter()
        .map(output::yaml)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(documents.join("---\n"))
}
