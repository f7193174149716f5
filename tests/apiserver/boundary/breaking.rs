//! Breaking a policy or a binding, and making it as it is shipped again.

use keyloan::manifests;
use keyloan_cluster::admission_version;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::support::World;

pub const POLICY: &str = "ValidatingAdmissionPolicy";
pub const BINDING: &str = "ValidatingAdmissionPolicyBinding";

/// A way to break a policy or a binding.
pub enum Flaw {
    Deleted,
    Member(&'static str, Value),
}

impl Flaw {
    pub async fn make(self, world: &World, kind: &str, name: &str) {
        let api = api(world, kind);
        let (path, value) = match self {
            Self::Deleted => {
                let deleted = api.delete(name, &DeleteParams::default()).await;
                return drop(deleted.expect("deleted"));
            }
            Self::Member(path, value) => (path, value),
        };
        let mut spec = api.get(name).await.expect("there").data["spec"].take();
        let (parent, member) = path.rsplit_once('/').expect("a path");
        let parent = spec.pointer_mut(parent).expect("there");
        match member.parse::<usize>() {
            Ok(index) => parent[index] = value,
            Err(_) => parent[member] = value,
        }
        change(&api, name, json!({ "spec": spec })).await;
    }
}

/// By a patch: the API server's own controller writes the status at any time.
pub async fn change(api: &Api<DynamicObject>, name: &str, change: Value) {
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(change));
    let changed = api.patch(name, &parameters, &patch);
    changed.await.expect("changed");
}

/// Makes a policy or a binding as it is shipped again.
pub async fn mend(world: &World, kind: &str, name: &str) {
    let files = manifests::files(&manifests::Boundary::default()).expect("manifests");
    let mut objects = files.into_iter().flat_map(|file| file.objects);
    let shipped = objects.find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    let mut shipped = shipped.expect("shipped");
    let api = api(world, kind);
    let Some(there) = api.get_opt(name).await.expect("an answer") else {
        let version = admission_version(kind);
        shipped["apiVersion"] = format!("admissionregistration.k8s.io/{version}").into();
        let object = serde_json::from_value(shipped).expect("an object");
        let created = api.create(&PostParams::default(), &object).await;
        return drop(created.expect("created"));
    };
    // What is not shipped is taken out.
    let mut spec = shipped["spec"].take();
    for member in there.data["spec"].as_object().expect("a spec").keys() {
        if spec.get(member).is_none() {
            spec[member.as_str()] = Value::Null;
        }
    }
    change(&api, name, json!({ "spec": spec })).await;
}

pub fn api(world: &World, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(
        "admissionregistration.k8s.io",
        admission_version(kind),
        kind,
    );
    Api::all_with(world.admin.clone(), &ApiResource::from_gvk(&kind))
}
