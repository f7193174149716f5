//! The CustomResourceDefinitions of the five kinds, made from the types in `api`.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{ManifestError, forms, schema};
use crate::api::{AccessDecision, AccessFlow, AccessGrant, AccessRecord, OnePasswordIntegration};

/// The definitions, each with the plural name of its kind.
///
/// What the derive macros cannot say is added here: the status of an object that nobody has looked
/// at, bounds that keep every accepted object readable, and how lists merge.
pub fn crds() -> Result<Vec<(String, Value)>, ManifestError> {
    [
        OnePasswordIntegration::crd(),
        AccessFlow::crd(),
        AccessGrant::crd(),
        AccessDecision::crd(),
        AccessRecord::crd(),
    ]
    .into_iter()
    .map(|crd| {
        let plural = crd.spec.names.plural.clone();
        let build = |why: String| ManifestError::Build {
            what: plural.clone(),
            why,
        };
        let mut crd = serde_json::to_value(crd).map_err(|error| build(error.to_string()))?;
        let root = crd
            .pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
            .ok_or_else(|| build("it has no schema".into()))?;
        complete_root(root);
        forms::say_in_words(root).map_err(build)?;
        schema::complete(root);
        Ok((plural, crd))
    })
    .collect()
}

/// Complete what only the top of a schema has: the kind's description and the default of its status.
fn complete_root(root: &mut Value) {
    if let Some(description) = root.pointer("/properties/spec/description").cloned() {
        root["description"] = description;
    }
    if let Some(members) = root.as_object_mut() {
        members.remove("title");
    }
    // Without it, tools that wait for an object take one that nobody has looked at for done.
    if let Some(status) = root.pointer_mut("/properties/status") {
        status["default"] = json!({ "observedGeneration": -1 });
    }
}
