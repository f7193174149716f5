//! What the log tells of the policies: what was never seen before has not changed.

use k8s_openapi::api::core::v1::ConfigMap;
use keyloan_cluster::OPERATOR_NAMESPACE;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::breaking::{BINDING, Flaw, mend};
use crate::support::World;
use crate::support::log::listen;
use crate::support::looked::look;

const KEPT: &str = "keyloan-boundary";
const FIRST: &str = "INFO the operator sees the admission policies for the first time; only requests and approvals made from now on count";
const CHANGED: &str = "WARN the admission policies have changed; requests and approvals made before the change no longer count";

/// All tasks run on one thread, to whose lines it listens.
#[tokio::test]
async fn the_first_look_in_a_cluster_is_no_change_of_the_policies() {
    let world = World::without_operator().await;
    let told = async || {
        let lines = listen();
        look(&world.settings).await.expect("in force");
        let about = |line: String| Some(line.split_once(" changed_at=")?.0.to_owned());
        lines
            .heard()
            .into_iter()
            .filter_map(about)
            .collect::<Vec<_>>()
    };
    let kept = world.namespaced::<ConfigMap>(OPERATOR_NAMESPACE);
    let keep = async |data: serde_json::Value| {
        let patch = Patch::Merge(json!({ "data": data }));
        let kept = kept.patch(KEPT, &PatchParams::default(), &patch).await;
        kept.expect("written");
    };

    // As in a new cluster: nothing was ever kept.
    world.delete::<ConfigMap>(OPERATOR_NAMESPACE, KEPT).await;
    assert_eq!(told().await, [FIRST]);
    assert_eq!(told().await, [""; 0], "nothing is new to the next operator");

    // Its twins: what was kept is another policy, cannot be read, or was given up because the policies did not act.
    let audit = Flaw::Member("/validationActions", json!(["Audit"]));
    audit.make(&world, BINDING, "keyloan-status").await;
    mend(&world, BINDING, "keyloan-status").await;
    assert_eq!(told().await, [CHANGED]);
    keep(json!({ "seen.json": "{}" })).await;
    assert_eq!(told().await, [CHANGED]);
    keep(json!({ "seen.json": null })).await;
    assert_eq!(told().await, [CHANGED]);
}
