//! An attacker among those who may restore records from a backup: a restored record is history, and lends nothing.

use keyloan::api::*;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::scene::{Scene, refused, said};
use super::stealing::record_of;
use crate::world::{PLATFORM, VELERO, condition, velero_labels};

/// For a request that waits, with approvals that nobody gave.
pub async fn records_of_requests_that_wait(scene: &Scene) {
    let velero = scene.world.as_velero().await;
    let (waiting, twin) = (scene.waiting().await, scene.waiting().await);
    let record = record_of(&waiting);

    let bare = restored(&record, false);
    refused(
        create(&velero, &bare).await,
        "needs the label velero.io/restore-name or keyloan.dev/restored",
    );
    let other_name = AccessRecord {
        metadata: kube::core::ObjectMeta {
            name: Some("another".into()),
            ..restored(&record, true).metadata
        },
        ..bare
    };
    refused(
        create(&velero, &other_name).await,
        "the name of a record is the uid of its request",
    );
    // Neither somebody else with every right, nor Velero with the label of its own backup alone.
    let labeled = restored(&record, true);
    refused(
        create(&scene.world.admin, &labeled).await,
        "only Keyloan's operator can write records",
    );
    scene.nothing_else_is_lent().await;

    create(&velero, &labeled).await.expect("Velero may");
    let is_closed = |record: &AccessRecord| {
        let end = record.spec.end.as_ref();
        end.is_some_and(|end| end.reason == EndReason::Restored)
    };
    let closed = scene.world.until_record(&waiting, is_closed).await;
    assert!(closed.spec.links.is_empty(), "{:?}", closed.spec.links);
    let is_over = |g: &AccessGrant| {
        let stalled = condition(g, STALLED).is_some_and(|c| c.reason == "Restored");
        stalled && g.status.as_ref().and_then(|s| s.phase) == Some(Phase::Failed)
    };
    scene.world.until(&waiting, is_over).await;
    // Whoever approves it now is too late.
    scene.decide("bob", &waiting, "Approve").await;
    scene.nothing_else_is_lent().await;
    scene.is_lent(&twin).await;
}

/// For a loan that runs: over its own record, and in the place of its record.
pub async fn records_of_loans_that_run(scene: &Scene) {
    let velero = scene.world.as_velero().await;
    let (loan, twin) = (scene.waiting().await, scene.waiting().await);
    let (loan, twin) = (scene.runs(&loan).await, scene.runs(&twin).await);
    let (name, records) = (loan.uid().expect("one"), records(&velero));
    let stored = records.get(&name).await.expect("there");

    let longer = AccessRecordSpec {
        terms: Terms {
            duration: Span("30d".into()),
            ..stored.spec.terms.clone()
        },
        ..stored.spec.clone()
    };
    refused(
        create(&velero, &restored(&longer, true)).await,
        "already exists",
    );
    let reopen = Patch::Merge(json!({ "spec": { "links": [] } }));
    let patched = records.patch(&name, &PatchParams::default(), &reopen).await;
    refused(
        patched.map_err(said),
        "only Keyloan's operator can write records",
    );
    let label = Patch::Merge(json!({ "metadata": { "labels": velero_labels() } }));
    let patched = records.patch(&name, &PatchParams::default(), &label).await;
    refused(
        patched.map_err(said),
        "only Keyloan's operator can write records",
    );
    // What a tool writes as it is, is no restore.
    let parameters = PostParams::default();
    let as_it_is = records.replace(&name, &parameters, &stored);
    as_it_is.await.expect("nothing has changed");

    // In the place of a record that is lost, the loan ends.
    scene.world.delete_record(&loan).await;
    create(&velero, &restored(&stored.spec, true))
        .await
        .expect("Velero may");
    let is_closed = |record: &AccessRecord| {
        let end = record.spec.end.as_ref();
        end.is_some_and(|end| end.reason == EndReason::Restored)
    };
    let closed = scene.world.until_record(&loan, is_closed).await;
    assert_eq!(closed.spec.links.len(), 1, "{VELERO} brought one back");
    scene.world.until_link_gone(&loan).await;
    scene.nothing_else_is_lent().await;
    scene.world.opens_for("alice", &twin).await;
    scene.delete("alice", &twin).await.expect("given back");
    scene.delete("alice", &loan).await.expect("deleted");
}

fn restored(record: &AccessRecordSpec, labeled: bool) -> AccessRecord {
    let mut object = AccessRecord::new(&record.grant.uid, record.clone());
    object.metadata.namespace = Some(PLATFORM.into());
    object.metadata.labels = labeled.then(velero_labels);
    object
}

fn records(client: &Client) -> Api<AccessRecord> {
    Api::namespaced(client.clone(), PLATFORM)
}

async fn create(client: &Client, record: &AccessRecord) -> Result<AccessRecord, String> {
    let created = records(client).create(&PostParams::default(), record).await;
    created.map_err(said)
}
