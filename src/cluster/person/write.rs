//! What a person writes: requests, decisions, and the wish for the next link.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::{CallError, Person, called};
use crate::cluster::Namespaced;

/// Under this name the API server keeps who set a field.
const FIELD_MANAGER: &str = "kubectl-keyloan";

impl Person {
    /// Creates an object, by its name or by one that the API server makes up from `generateName`.
    pub async fn create<K: Namespaced>(&self, namespace: &str, object: &K) -> Result<K, CallError> {
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        let meta = object.meta();
        let name = meta.name.as_ref().or(meta.generate_name.as_ref());
        let called = called::<K>(namespace, name.map_or("", String::as_str));
        let api = self.api::<K>(namespace);
        self.bounded("create", called, api.create(&parameters, object))
            .await
    }

    /// Sets an annotation on the object of this uid, and on no later one of its name.
    pub async fn annotate<K: Namespaced>(
        &self,
        (namespace, name, uid): (&str, &str, &str),
        key: &str,
        value: &str,
    ) -> Result<K, CallError> {
        let patch = json!({ "metadata": { "uid": uid, "annotations": { key: value } } });
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let api = self.api::<K>(namespace);
        let patch = Patch::Merge(&patch);
        let call = api.patch(name, &parameters, &patch);
        self.bounded("annotate", called::<K>(namespace, name), call)
            .await
    }
}
