//! From this release to a next one that changes a policy and adds another: in either order of the charts, nothing that runs, waits
//! or was approved is lost or void.

mod world;

use keyloan::api::*;
use keyloan::manifests::Releases;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use world::{Ask, Say, World, condition, needs_approval};

/// Two of security have to agree.
const TWO: &[(&str, &str, u32)] = &[("security", "security", 2)];

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_in_either_order_of_the_charts_voids_nothing() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("reviewed", reviewed_by_two).await;
    let this = Releases::known().expect("the policies");
    let next = next_release(&this, "the next release");
    let after = next_release(&next, "the one after that");

    // The policies first: until the operator follows, it holds what is new.
    let before = half_way(&world).await;
    install(&world, &next).await;
    assert_eq!(
        world.until_integration("prod", "False").await,
        "BoundaryNotInForce"
    );
    world.settings.policies = Some(next);
    world.restart_operator().await;
    goes_on(&world, &before).await;

    // The operator first: it takes the policies of the release before for in force.
    let before = half_way(&world).await;
    world.settings.policies = Some(after.clone());
    world.restart_operator().await;
    assert_eq!(world.until_integration("prod", "True").await, "Ready");
    world
        .decide("carol", &before.waits, Say::approve(&before.waits))
        .await;
    install(&world, &after).await;
    goes_on(&world, &before).await;
}

/// Alice has six loans at the end.
fn reviewed_by_two(flow: &mut AccessFlowSpec) {
    needs_approval("AllOf", TWO)(flow);
    flow.limits.active_per_requester = 6;
}

/// What there is when the upgrade begins.
struct HalfWay {
    runs: AccessGrant,
    /// One of two has approved it.
    approved: AccessGrant,
    waits: AccessGrant,
}

async fn half_way(world: &World) -> HalfWay {
    let runs = waiting(world).await;
    for who in ["carol", "dave"] {
        world.decide(who, &runs, Say::approve(&runs)).await;
    }
    let runs = world.until_active(&runs).await;
    let approved = waiting(world).await;
    world
        .decide("carol", &approved, Say::approve(&approved))
        .await;
    let counts = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.decisions.len() == 1);
    HalfWay {
        approved: world.until(&approved, counts).await,
        waits: waiting(world).await,
        runs,
    }
}

async fn waiting(world: &World) -> AccessGrant {
    let grant = world
        .ask("alice", Ask::item("db password").lasting("4h"))
        .await;
    let waits = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.waiting_for.is_some());
    world.until(&grant, waits).await
}

/// What ran runs, and what waits is approved by the digest that it had before, with the approvals of before.
async fn goes_on(world: &World, before: &HalfWay) {
    assert_eq!(world.until_integration("prod", "True").await, "Ready");
    world
        .decide("dave", &before.approved, Say::approve(&before.approved))
        .await;
    world.until_active(&before.approved).await;
    for who in ["carol", "dave"] {
        // Whoever has decided already is not counted twice.
        world
            .decide(who, &before.waits, Say::approve(&before.waits))
            .await;
    }
    world.until_active(&before.waits).await;
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), world::TEAM);
    let name = before.runs.metadata.name.as_deref().expect("named");
    let runs = grants.get(name).await.expect("there");
    let link = |g: &AccessGrant| g.status.as_ref().and_then(|s| s.link.clone());
    assert_eq!(link(&runs), link(&before.runs));
    assert_eq!(
        condition(&runs, ACTIVE).map(|c| c.status.as_str()),
        Some("True")
    );
}

/// Says something else in one policy, and adds one that lets everything pass.
fn next_release(before: &Releases, name: &str) -> Releases {
    let mut current = before.current.clone();
    let is_changed = |object: &&mut Value| {
        object["kind"] == "ValidatingAdmissionPolicy"
            && object["metadata"]["name"] == "keyloan-grant-identity"
    };
    let changed = current.iter_mut().find(is_changed).expect("there");
    changed["spec"]["validations"][0]["message"] = json!(format!("keyloan-identity: {name}"));
    let added = format!("keyloan-added-{}", before.earlier.len());
    let any = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": added },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                "resourceRules": [{
                    "apiGroups": ["keyloan.dev"], "apiVersions": ["v1alpha1"], "operations": ["CREATE"],
                    "resources": ["accessgrants"], "scope": "*",
                }],
            },
            "validations": [{ "expression": "true", "message": "keyloan-added: never", "reason": "Forbidden" }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": added },
        "spec": { "policyName": added, "validationActions": ["Deny"] },
    });
    current.extend([any, binding]);
    Releases {
        current,
        earlier: vec![before.current.clone()],
    }
}

/// As a GitOps tool does, all at once and with the values of this installation.
async fn install(world: &World, release: &Releases) {
    for object in &release.current {
        let kind = object["kind"].as_str().expect("a kind");
        let name = object["metadata"]["name"].as_str().expect("a name");
        let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let api: Api<DynamicObject> =
            Api::all_with(world.admin.clone(), &ApiResource::from_gvk(&gvk));
        let applied = api
            .patch(
                name,
                &PatchParams::apply("flux").force(),
                &Patch::Apply(object),
            )
            .await;
        applied.expect("applied");
    }
}
