//! What programs read: objects as JSON, YAML or names, as kubectl prints them.

use clap::ValueEnum;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::put;
use crate::api::GROUP;
use crate::plugin::failure::Failure;

/// A form for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The object as JSON.
    Json,
    /// The object as YAML.
    Yaml,
    /// Just its name, as kubectl takes it.
    Name,
}

/// Prints an object.
pub fn print_object<K>(object: &K, format: Format) -> Result<(), Failure>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    match format {
        Format::Name => put(name(object)),
        format => put(document(&cleaned(object)?, format)?.trim_end()),
    }
    Ok(())
}

/// Prints objects; several as one `List`.
pub fn objects<K>(objects: &[K], format: Format) -> Result<(), Failure>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    if format == Format::Name {
        objects.iter().for_each(|object| put(name(object)));
        return Ok(());
    }
    let items = objects.iter().map(cleaned).collect::<Result<_, _>>()?;
    put(document(&list(items), format)?.trim_end());
    Ok(())
}

/// A `List`, as kubectl makes it.
fn list(items: Vec<Value>) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// A value as JSON or YAML text.
pub fn document(value: &impl Serialize, format: Format) -> Result<String, Failure> {
    let unprintable = |error: String| Failure::new(format!("cannot print the answer: {error}"));
    match format {
        Format::Yaml => yaml(value),
        Format::Json | Format::Name => {
            serde_json::to_string_pretty(value).map_err(|e| unprintable(e.to_string()))
        }
    }
}

/// A value as YAML text.
pub fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    serde_saphyr::to_string(value)
        .map_err(|error| Failure::new(format!("cannot print the answer as YAML: {error}")))
}

/// `accessgrant.keyloan.dev/alice-db`.
fn name<K: Resource<DynamicType = ()>>(object: &K) -> String {
    let kind = K::kind(&()).to_lowercase();
    format!("{kind}.{GROUP}/{}", object.name_any())
}

/// kubectl leaves out `managedFields`, too: nobody reads them.
fn cleaned(object: &impl Serialize) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(object)
        .map_err(|error| Failure::new(format!("cannot print the answer: {error}")))?;
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    Ok(value)
}
