//! Editing a request after it was made, by the one who made it: nothing that could be left out is added later, nor taken out.

use std::collections::BTreeSet;

use keyloan::api::*;
use keyloan::manifests;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::scene::{FLOW, Scene, identity_of, refused, said};
use crate::world::{PLATFORM, TEAM};

/// One who has all that the cluster can know of somebody, and one who has nothing but a name.
const ALICE: &str = "alice@example.com";
const WALKER: &str = "walker";

/// Of a request with all of them each is taken out, and to a request with none of them each is added.
pub async fn optional_fields(scene: &Scene) {
    let values = values();
    let covered: BTreeSet<_> = values
        .iter()
        .map(|(field, _)| (*field).to_owned())
        .collect();
    assert_eq!(covered, optional(), "each has a value to try");

    let mut with_all = scene.request_of("alice");
    for (field, value) in values.iter().filter(|(field, _)| !is_of_identity(field)) {
        set(&mut with_all["spec"], field, value.clone());
    }
    let with_all = Edited::new(scene, scene.person("alice").await, with_all).await;
    let mut with_none = scene.request_of("alice");
    let spec = json!({ "integration": { "name": "prod" }, "item": with_none["spec"]["item"] });
    with_none["spec"] = spec;
    if !scene.stamped {
        with_none["spec"]["requester"] = json!({ "username": WALKER });
    }
    let walker = scene.world.impersonating(WALKER, Vec::new()).await;
    let with_none = Edited::new(scene, walker, with_none).await;

    for (field, value) in values {
        assert!(with_all.has(field), "{field}");
        with_all.cannot_set(field, Value::Null).await;
        // Nobody asks without a name.
        if field != "requester" {
            assert!(!with_none.has(field), "{field}");
            with_none.cannot_set(field, value).await;
        }
    }
    for edited in [with_all, with_none] {
        edited.can_be_labelled().await;
    }
}

/// What each optional field could be.
fn values() -> Vec<(&'static str, Value)> {
    vec![
        ("duration", json!("2h")),
        ("flow", json!(FLOW)),
        ("integration.namespace", json!(PLATFORM)),
        ("justification", json!("INC-1234: replica lag")),
        ("notAfter", json!("2999-01-01T00:00:00Z")),
        ("recipients", json!([ALICE])),
        ("requester", identity_of("alice")),
        ("requester.email", json!(ALICE)),
        ("requester.groups", json!(["engineering"])),
        ("viewOnce", json!(true)),
    ]
}

/// The fields that may be left out, by the schema that the API server has.
fn optional() -> BTreeSet<String> {
    let crds = manifests::crds().expect("the kinds");
    let (_, grants) = crds
        .iter()
        .find(|(plural, _)| plural == "accessgrants")
        .expect("a kind");
    let schema = &grants["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = BTreeSet::new();
    gather(&schema["properties"]["spec"], "", &mut found);
    found
}

fn gather(schema: &Value, within: &str, found: &mut BTreeSet<String>) {
    for (name, of) in schema["properties"].as_object().into_iter().flatten() {
        let field = format!("{within}{name}");
        let required = schema["required"].as_array().into_iter().flatten();
        if !required.into_iter().any(|required| required == name) {
            found.insert(field.clone());
        }
        gather(of, &format!("{field}."), found);
    }
}

/// A request, and the one who made it.
struct Edited<'a> {
    scene: &'a Scene,
    api: Api<AccessGrant>,
    name: String,
    spec: Value,
}

impl<'a> Edited<'a> {
    async fn new(scene: &'a Scene, maker: Client, request: Value) -> Self {
        let api: Api<AccessGrant> = Api::namespaced(maker, TEAM);
        let request = serde_json::from_value(request).expect("a grant");
        let made = api.create(&PostParams::default(), &request).await;
        let made = made.expect("asked");
        Self {
            scene,
            api,
            name: made.name_any(),
            spec: serde_json::to_value(made.spec).expect("JSON"),
        }
    }

    /// A list that is empty says nothing.
    fn has(&self, field: &str) -> bool {
        let value = self.spec.pointer(&pointer(field));
        value.is_some_and(|value| *value != json!([]))
    }

    async fn cannot_set(&self, field: &str, value: Value) {
        let mut change = json!({});
        set(&mut change, field, value);
        let edited = self.edit(json!({ "spec": change })).await;
        if self.scene.stamped && is_of_identity(field) {
            let stored = edited.expect("what was stamped is written back");
            assert_eq!(stored, self.spec, "{field}");
        } else {
            refused(
                edited,
                "a request cannot be changed once it is made: delete it and ask again",
            );
        }
    }

    async fn can_be_labelled(&self) {
        let label = json!({ "metadata": { "labels": { "team": "a" } } });
        let stored = self.edit(label).await.expect("labels are free");
        assert_eq!(stored, self.spec);
    }

    /// Makes a change; tells the spec that it leaves.
    async fn edit(&self, change: Value) -> Result<Value, String> {
        let (parameters, change) = (PatchParams::default(), Patch::Merge(change));
        let patched = self.api.patch(&self.name, &parameters, &change).await;
        let spec = |grant: AccessGrant| serde_json::to_value(grant.spec).expect("JSON");
        patched.map(spec).map_err(said)
    }
}

fn is_of_identity(field: &str) -> bool {
    field.starts_with("requester")
}

/// Sets a member of a spec, such as `integration.namespace`.
fn set(spec: &mut Value, field: &str, value: Value) {
    let member = field.split('.').fold(spec, |of, name| &mut of[name]);
    *member = value;
}

fn pointer(field: &str) -> String {
    format!("/{}", field.replace('.', "/"))
}
