//! Whether the API server would take a status: no list is longer than the schema allows. Bounded texts are only copied from
//! objects that it has taken.

use std::sync::LazyLock;

use keyloan::api::{AccessGrant, AccessGrantStatus};
use kube::CustomResourceExt;
use serde::Serialize;
use serde_json::Value;

static SCHEMA: LazyLock<Value> = LazyLock::new(schema::<AccessGrant>);

/// The schema of a kind's status.
pub fn schema<K: CustomResourceExt>() -> Value {
    let crd = serde_json::to_value(K::crd()).expect("JSON");
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status";
    crd.pointer(status).expect("a schema of status").clone()
}

/// Whether the lists of a grant's status keep the bounds of its schema; if not, which does not.
pub fn keeps(status: &AccessGrantStatus) -> Result<(), String> {
    keeps_those_of(&SCHEMA, status)
}

/// The same of a status of another kind.
pub fn keeps_those_of(schema: &Value, status: &impl Serialize) -> Result<(), String> {
    let status = serde_json::to_value(status).expect("JSON");
    within(schema, &status, "status")
}

fn within(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    match value {
        Value::Array(items) => {
            let most = schema["maxItems"].as_u64();
            let most = most.ok_or_else(|| format!("{place} has no bound"))?;
            if items.len() as u64 > most {
                return Err(format!("{place} has {} items of {most}", items.len()));
            }
            items
                .iter()
                .try_for_each(|item| within(&schema["items"], item, place))
        }
        Value::Object(fields) => fields.iter().try_for_each(|(name, field)| {
            let place = format!("{place}.{name}");
            within(&schema["properties"][name], field, &place)
        }),
        _ => Ok(()),
    }
}
