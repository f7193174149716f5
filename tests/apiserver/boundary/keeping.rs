//! What is kept of the policies from one operator to the next: a change is noticed also if no operator ran when it was made, and
//! what changes no spec is none.

use k8s_openapi::api::core::v1::ConfigMap;
use keyloan_cluster::OPERATOR_NAMESPACE;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::breaking::{BINDING, Flaw, POLICY, api, change, mend};
use crate::support::World;
use crate::support::looked::look;

const GUARD: &str = "keyloan-grant-identity";
const KEPT: &str = "keyloan-boundary";

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_statuses_change_nothing_and_what_was_loosened_meanwhile_is_noticed() {
    let world = World::without_operator().await;
    let looked = async || look(&world.settings).await.expect("in force");
    let first = looked().await;
    assert_eq!(looked().await, first, "the next operator knows it, too");

    // A spec that is another one, and stays it, is a change when it is noticed; from then on, a generation of 2 is nothing special.
    let policies = api(&world, POLICY);
    let operators = json!("['system:serviceaccount:keyloan-system:keyloan', 'somebody else']");
    let path = operators_of(&world).await;
    Flaw::Member(path, operators)
        .make(&world, POLICY, GUARD)
        .await;
    let changed = looked().await;
    assert!(changed > first, "{first} {changed}");
    let generation = policies
        .get(GUARD)
        .await
        .expect("there")
        .metadata
        .generation;
    assert_eq!(generation, Some(2));

    // kubectl annotate, and what GitOps tools do: labels, and the same content applied again after a status was written.
    let note = json!({ "metadata": { "annotations": { "example.com/owner": "platform" } } });
    change(&policies, GUARD, note).await;
    let spec = policies.get(GUARD).await.expect("there").data["spec"].clone();
    let status = json!({ "status": { "observedGeneration": 1 } });
    policies
        .patch_status(GUARD, &PatchParams::default(), &Patch::Merge(status))
        .await
        .expect("written");
    let applied = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": POLICY,
        "metadata": { "name": GUARD, "labels": { "kustomize.toolkit.fluxcd.io/name": "platform" } },
        "spec": spec,
    });
    policies
        .patch(
            GUARD,
            &PatchParams::apply("flux").force(),
            &Patch::Apply(applied),
        )
        .await
        .expect("applied");
    assert_eq!(looked().await, changed, "no spec is another one");

    // Loosened and put back while no operator runs, without a trace in managedFields or a status.
    let audit = Flaw::Member("/validationActions", json!(["Audit"]));
    audit.make(&world, BINDING, GUARD).await;
    mend(&world, BINDING, GUARD).await;
    world.plane.until_in_force().await.expect("in force");
    let traceless = json!({ "metadata": { "managedFields": [{}] } });
    change(&api(&world, BINDING), GUARD, traceless).await;
    let loosened = looked().await;
    assert!(loosened > changed, "{changed} {loosened}");
    // Taken away and made again.
    Flaw::Deleted.make(&world, BINDING, "keyloan-status").await;
    mend(&world, BINDING, "keyloan-status").await;
    let made_again = looked().await;
    assert!(made_again > loosened, "{loosened} {made_again}");

    // What is kept can be lost, and then nothing vouches for what was before.
    world.delete::<ConfigMap>(OPERATOR_NAMESPACE, KEPT).await;
    let lost = looked().await;
    assert!(lost > made_again, "{made_again} {lost}");
    let kept = world.namespaced::<ConfigMap>(OPERATOR_NAMESPACE);
    let unreadable = Patch::Merge(json!({ "data": { "seen.json": "{}" } }));
    kept.patch(KEPT, &PatchParams::default(), &unreadable)
        .await
        .expect("written");
    assert!(looked().await > lost);
}

/// Where the guard's policy names the operators.
async fn operators_of(world: &World) -> &'static str {
    let policy = api(world, POLICY).get(GUARD).await.expect("there");
    let variables = policy.data["spec"]["variables"].as_array().expect("some");
    let at = variables.iter().position(|v| v["name"] == "operators");
    format!("/variables/{}/expression", at.expect("one")).leak()
}
