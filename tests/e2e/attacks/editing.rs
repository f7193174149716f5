//! Editing a request or a decision after it was made, by the one who made it or by another: nothing that could be left out is added
//! later, nor taken out.

use std::collections::BTreeSet;

use keyloan::api::*;
use keyloan::manifests;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::scene::{FLOW, Scene, create, identity_of, refused, resource, said};
use crate::world::{PLATFORM, TEAM};

/// One who has all that the cluster can know of somebody, and one who has nothing but a name.
const ALICE: &str = "alice@example.com";
const WALKER: &str = "walker";

/// Of a request with all of them each is taken out, and to a request with none of them each is added.
pub async fn requests(scene: &Scene) {
    let values = [
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
    ];
    let mut with_all = scene.request_of("alice");
    for (field, value) in values.iter().filter(|(field, _)| !is_of_identity(field)) {
        set(&mut with_all["spec"], field, value.clone());
    }
    let mut with_none = scene.request_of("alice");
    let spec = json!({ "integration": { "name": "prod" }, "item": with_none["spec"]["item"] });
    with_none["spec"] = spec;
    // A requester without an address has to set the end of the request.
    let mut with_an_end = with_none.clone();
    with_an_end["spec"]["notAfter"] = json!("2999-01-01T00:00:00Z");
    if !scene.stamped {
        with_none["spec"]["requester"] = identity_of("erin");
        with_an_end["spec"]["requester"] = json!({ "username": WALKER });
    }
    let made = [
        Edited::new(scene, scene.person("alice").await, with_all).await,
        Edited::new(scene, scene.person("erin").await, with_none).await,
        Edited::new(scene, walker(scene).await, with_an_end).await,
    ];
    let refusal = "a request cannot be changed after its creation: delete it and request again";
    for edited in &made {
        edited.each_stays("accessgrants", &values, refusal).await;
    }
    // Nobody asks without a name.
    each_is_there_and_absent(&made, &values, "requester");
}

/// No decision can have all of them: an approval has most, only who revokes says whether they may, and a denial may have none.
pub async fn decisions(scene: &Scene) {
    let values = [
        ("approver", identity_of("bob")),
        ("approver.email", json!("bob@example.com")),
        ("approver.groups", json!(["platform-owners"])),
        ("digest", json!("sha256:other")),
        ("maxDuration", json!("1h")),
        ("mayRevoke", json!(true)),
        ("reason", json!("looks right")),
    ];
    let grant = scene.waiting().await;
    let mut approval = scene.decision_of("bob", &grant, "Approve");
    approval["spec"]["reason"] = json!("as agreed");
    approval["spec"]["maxDuration"] = json!("2h");
    let mut revocation = scene.decision_of("mallory", &grant, "Revoke");
    let mut denial = scene.decision_of(WALKER, &grant, "Deny");
    if !scene.stamped {
        revocation["spec"]["mayRevoke"] = json!(false);
        denial["spec"]["approver"] = json!({ "username": WALKER });
    }
    let made = [
        Edited::new(scene, scene.person("bob").await, approval).await,
        Edited::new(scene, scene.person("mallory").await, revocation).await,
        Edited::new(scene, walker(scene).await, denial).await,
    ];
    let refusal = "a decision cannot be changed: create another one";
    for edited in &made {
        edited.each_stays("accessdecisions", &values, refusal).await;
    }
    // Nobody decides without a name.
    each_is_there_and_absent(&made, &values, "approver");
    // Bob's word stands as he gave it, and the others' were nobody's to ask for.
    for who in ["carol", "dave"] {
        scene.decide(who, &grant, "Approve").await;
    }
    let grant = scene.gets_a_share(&grant).await;
    let counted = grant.status.as_ref().map(|s| s.decisions.as_slice());
    let counted = counted.expect("a status");
    let bobs = counted.iter().find(|d| d.user == "bob@example.com");
    let bobs = bobs.expect("it counts");
    assert_eq!(bobs.reason.as_deref(), Some("as agreed"));
    assert_eq!(bobs.max_duration, Some(Span("2h".into())));
    assert_eq!(counted.len(), 3);
    scene.delete("alice", &grant).await.expect("given back");
}

async fn walker(scene: &Scene) -> Client {
    scene.world.impersonating(WALKER, Vec::new()).await
}

/// Each field was there to be taken out, and absent to be added; but for the one that is never absent.
fn each_is_there_and_absent(made: &[Edited<'_>], values: &[(&str, Value)], never_absent: &str) {
    for (field, _) in values {
        let there = made.iter().filter(|edited| edited.has(field)).count();
        let everywhere = there == made.len();
        assert!(there > 0, "{field}");
        assert_eq!(everywhere, *field == never_absent, "{field}");
    }
}

/// The fields that may be left out, by the schema that the API server has.
fn optional(plural: &str) -> BTreeSet<String> {
    let crds = manifests::crds().expect("the kinds");
    let (_, kind) = crds.iter().find(|(of, _)| of == plural).expect("a kind");
    let schema = &kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
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

/// A request or a decision, as seen by the one who made it and by mallory.
struct Edited<'a> {
    scene: &'a Scene,
    apis: [Api<DynamicObject>; 2],
    name: String,
    spec: Value,
}

impl<'a> Edited<'a> {
    async fn new(scene: &'a Scene, maker: Client, object: Value) -> Self {
        let kind = object["kind"].as_str().expect("one");
        let resource = resource("keyloan.dev", "v1alpha1", kind);
        let api_of = |who: Client| Api::namespaced_with(who, TEAM, &resource);
        let apis = [maker.clone(), scene.person("mallory").await].map(api_of);
        let made = create(maker, object).await.expect("made");
        Self {
            scene,
            apis,
            name: made["metadata"]["name"].as_str().expect("one").to_owned(),
            spec: made["spec"].clone(),
        }
    }

    /// Each optional field is taken out where it is there, and added where it is not; and a write that changes nothing passes.
    async fn each_stays(&self, plural: &str, values: &[(&str, Value)], refusal: &str) {
        let covered: BTreeSet<_> = values
            .iter()
            .map(|(field, _)| (*field).to_owned())
            .collect();
        assert_eq!(covered, optional(plural), "each has a value to try");
        for (field, value) in values {
            let value = if self.has(field) { &Value::Null } else { value };
            let mut change = json!({});
            set(&mut change, field, value.clone());
            for edited in self.edit(json!({ "spec": change })).await {
                if self.scene.stamped && is_of_identity(field) {
                    let stored = edited.expect("what was stamped is written back");
                    assert_eq!(stored, self.spec, "{field}");
                } else {
                    refused(edited, refusal);
                }
            }
        }
        for edited in self.edit(json!({ "spec": self.spec })).await {
            assert_eq!(edited.expect("nothing is changed"), self.spec);
        }
    }

    /// A list that is empty says nothing.
    fn has(&self, field: &str) -> bool {
        let value = self.spec.pointer(&pointer(field));
        value.is_some_and(|value| *value != json!([]))
    }

    /// Both make a change; tells the spec that it leaves.
    async fn edit(&self, change: Value) -> Vec<Result<Value, String>> {
        let (parameters, change) = (PatchParams::default(), Patch::Merge(change));
        let mut outcomes = Vec::new();
        for api in &self.apis {
            let patched = api.patch(&self.name, &parameters, &change).await;
            outcomes.push(patched.map(|o| o.data["spec"].clone()).map_err(said));
        }
        outcomes
    }
}

/// Whether the API server may write the field itself.
fn is_of_identity(field: &str) -> bool {
    ["requester", "approver", "mayRevoke"]
        .iter()
        .any(|of_it| field.starts_with(of_it))
}

/// Sets a member of a spec, such as `integration.namespace`.
fn set(spec: &mut Value, field: &str, value: Value) {
    let member = field.split('.').fold(spec, |of, name| &mut of[name]);
    *member = value;
}

fn pointer(field: &str) -> String {
    format!("/{}", field.replace('.', "/"))
}
