//! From this release to a next one that changes a policy and adds another: in either order of the charts, nothing that runs, waits
//! or was approved is lost or void. Nor is it afterwards, by what GitOps tools and people write beside the specs.

use crate::world::{Ask, Say, World, condition, needs_approval};
use k8s_openapi::api::core::v1::ConfigMap;
use keyloan::api::*;
use keyloan::manifests::Releases;
use keyloan_cluster::OPERATOR_NAMESPACE;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

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

/// A policy that an upgrade has changed is in its second generation, and stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_upgrade_metadata_voids_nothing_and_a_policy_loosened_meanwhile_voids_what_waits()
{
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("reviewed", reviewed_by_two).await;
    let next = next_release(
        &Releases::known().expect("the policies"),
        "the next release",
    );
    install(&world, &next).await;
    world.settings.policies = Some(next.clone());
    world.restart_operator().await;
    assert_eq!(world.until_integration("prod", "True").await, "Ready");
    let generations = generations(&world, &next).await;
    assert!(generations.contains(&2), "{generations:?}");

    let before = half_way(&world).await;
    let seen = what_was_seen(&world).await;
    write_metadata(&world, &next).await;
    assert_eq!(self::generations(&world, &next).await, generations);
    world.restart_operator().await;
    // By the operator that started just now, the approval of before counts.
    world
        .decide("carol", &before.approved, Say::approve(&before.approved))
        .await;
    let is_told = |g: &AccessGrant| {
        let mut ignored = g.status.iter().flat_map(|s| &s.ignored_decisions);
        ignored.any(|i| i.reason == "this person has already approved; each person counts once")
    };
    let still = world.until(&before.approved, is_told).await.status;
    let still = still.expect("a status");
    assert_eq!(
        (still.phase, still.decisions.len()),
        (Some(Phase::Pending), 1)
    );
    goes_on(&world, &before).await;
    assert_eq!(what_was_seen(&world).await, seen, "nothing has changed");

    // The twin: two steps of a generation that lead back to the same spec.
    let before = half_way(&world).await;
    world.crash_operator();
    loosen_and_put_back(&world).await;
    world.restart_operator().await;
    for void in [&before.approved, &before.waits] {
        let is_void = |g: &AccessGrant| {
            condition(g, ACCEPTED).is_some_and(|c| c.reason == "IdentityUnverified")
        };
        let void = world.until(void, is_void).await.status.expect("a status");
        assert_eq!(void.phase, Some(Phase::Failed));
    }
    assert_ne!(what_was_seen(&world).await, seen);
    let asked_again = waiting(&world).await;
    for who in ["carol", "dave"] {
        world
            .decide(who, &asked_again, Say::approve(&asked_again))
            .await;
    }
    world.until_active(&asked_again).await;
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
        // A person who has decided already is not counted twice.
        world
            .decide(who, &before.waits, Say::approve(&before.waits))
            .await;
    }
    world.until_active(&before.waits).await;
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), crate::world::TEAM);
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
    for object in served(world, release) {
        let applied = PatchParams::apply("flux").force();
        write(world, object, &applied, &Patch::Apply(object)).await;
    }
}

/// What changes no spec, of every policy and binding: a note by kubectl annotate, the same content applied with another label, and
/// managedFields that somebody empties, before and after which the tool applies again.
async fn write_metadata(world: &World, release: &Releases) {
    for object in served(world, release) {
        let by_hand = PatchParams::default();
        let note = json!({ "metadata": { "annotations": { "example.com/owner": "platform" } } });
        write(world, object, &by_hand, &Patch::Merge(&note)).await;
        let mut labelled = object.clone();
        labelled["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!("platform");
        let applied = PatchParams::apply("flux").force();
        write(world, object, &applied, &Patch::Apply(&labelled)).await;
        let nobodys = json!({ "metadata": { "managedFields": [{}] } });
        write(world, object, &by_hand, &Patch::Merge(&nobodys)).await;
        labelled["metadata"]["annotations"]["example.com/revision"] = json!("2");
        write(world, object, &applied, &Patch::Apply(&labelled)).await;
        write(world, object, &by_hand, &Patch::Merge(&nobodys)).await;
    }
}

/// The binding of the guard only audits for a while.
async fn loosen_and_put_back(world: &World) {
    let guard = json!({
        "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": "keyloan-grant-identity" },
    });
    for actions in ["Audit", "Deny"] {
        let change = json!({ "spec": { "validationActions": [actions] } });
        write(
            world,
            &guard,
            &PatchParams::default(),
            &Patch::Merge(&change),
        )
        .await;
    }
}

/// The policies and bindings of a release that this API server has.
fn served<'a>(world: &World, release: &'a Releases) -> impl Iterator<Item = &'a Value> {
    let has_mutating = world.cluster.has_mutating_policies();
    let is_mutating = |object: &Value| {
        let kind = object["kind"].as_str();
        kind.is_some_and(|kind| kind.starts_with("MutatingAdmissionPolicy"))
    };
    let all = release.current.iter();
    all.filter(move |object| has_mutating || !is_mutating(object))
}

async fn write(world: &World, object: &Value, how: &PatchParams, patch: &Patch<&Value>) {
    let name = object["metadata"]["name"].as_str().expect("a name");
    let written = api_of(world, object).patch(name, how, patch).await;
    written.expect("written");
}

/// The generations of all policies and bindings, in the order of the release.
async fn generations(world: &World, release: &Releases) -> Vec<i64> {
    let mut generations = Vec::new();
    for object in served(world, release) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let there = api_of(world, object).get(name).await.expect("there");
        generations.push(there.metadata.generation.expect("one"));
    }
    generations
}

fn api_of(world: &World, object: &Value) -> Api<DynamicObject> {
    let kind = object["kind"].as_str().expect("a kind");
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    Api::all_with(world.admin.clone(), &ApiResource::from_gvk(&kind))
}

/// What the operators have kept of the policies, and so when these last changed.
async fn what_was_seen(world: &World) -> String {
    let kept: Api<ConfigMap> = Api::namespaced(world.admin.clone(), OPERATOR_NAMESPACE);
    let kept = kept.get("keyloan-boundary").await.expect("kept");
    kept.data.expect("something")["seen.json"].clone()
}
