//! What the log tells of the policies: what was never seen before has not changed.

use std::io::Write;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::ConfigMap;
use keyloan_cluster::OPERATOR_NAMESPACE;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::breaking::{BINDING, Flaw, mend};
use crate::support::World;
use crate::support::looked::look;

const KEPT: &str = "keyloan-boundary";
const FIRST: &str = "INFO the operator sees the admission policies for the first time; only requests and approvals made from now on count";
const CHANGED: &str = "WARN the admission policies have changed; requests and approvals made before the change no longer count";

/// All tasks run on one thread, whose log is read.
#[tokio::test]
async fn the_first_look_in_a_cluster_is_no_change_of_the_policies() {
    let world = World::without_operator().await;
    let told = async || {
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .finish();
        let reading = tracing::subscriber::set_default(lines);
        look(&world.settings).await.expect("in force");
        drop(reading);
        log.about_changes()
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

/// The lines that were written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Level and message of those that say what is new about the policies, without their fields.
    fn about_changes(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().expect("whole").clone()).expect("text");
        let about = text
            .lines()
            .filter(|line| line.contains("changed_at="))
            .filter_map(|line| line.trim_start().split_once(" changed_at="));
        about.map(|(line, _)| line.to_owned()).collect()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
