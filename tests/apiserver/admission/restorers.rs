//! Who may restore records from a backup: only those whom the chart names, only new ones, and only with a label that says so.

use serde_json::{Value, json};

use super::boundary::{Boundary, record};
use super::guards::assert_refused;
use crate::support::objects::merged;

const VELERO: &str = "system:serviceaccount:velero:velero";
const OTHERS: &str = "keyloan-records: only Keyloan's operator can write records";

pub async fn records_are_restored_by_those_who_are_named_and_with_a_label(b: &Boundary) {
    const NO_LABEL: &str =
        "keyloan-records: a record that is restored from a backup needs the label";
    const NO_NAME: &str = "keyloan-records: the name of a record is the uid of its request";
    const NO_LEDGER: &str = "keyloan-records: the namespace of a record is that of its integration";
    let velero = b
        .cluster
        .impersonating(VELERO, &["system:authenticated"])
        .await;
    let by_velero = json!({ "metadata": { "labels": { "velero.io/restore-name": "nightly" } } });
    let by_hand = json!({ "metadata": { "labels": { "keyloan.dev/restored": "nightly" } } });
    assert_refused(velero.create(&restored("1", &by_velero)).await, OTHERS);
    b.install_with_restorer(VELERO, &velero, &restored("1", &by_velero))
        .await;

    assert_refused(velero.create(&restored("1", &json!({}))).await, NO_LABEL);
    let other = json!({ "metadata": { "labels": { "velero.io/backup-name": "nightly" } } });
    assert_refused(velero.create(&restored("1", &other)).await, NO_LABEL);
    let mut renamed = restored("1", &by_velero);
    renamed["metadata"]["name"] = json!("2");
    assert_refused(velero.create(&renamed).await, NO_NAME);
    // It would end the loan of a request for an integration of others.
    let of_others =
        json!({ "spec": { "terms": { "integration": { "namespace": "platform-b" } } } });
    let strayed = merged(restored("1", &by_velero), &of_others);
    assert_refused(velero.create(&strayed).await, NO_LEDGER);
    for person in [&b.alice, &b.mallory, &b.pipeline, &b.admin] {
        assert_refused(person.create(&restored("1", &by_velero)).await, OTHERS);
    }

    let stored = velero.create(&restored("1", &by_velero)).await.unwrap();
    velero.create(&restored("2", &by_hand)).await.unwrap();
    // From then on it is as any other: a write that changes nothing passes.
    let unlabeled = json!({ "metadata": { "labels": null } });
    let longer = json!({ "spec": { "residualUntil": "2027-11-23T13:00:00Z" } });
    for change in [&unlabeled, &longer] {
        assert_refused(velero.patch(&stored, change).await, OTHERS);
    }
    velero.put(&stored).await.unwrap();
    let deleted = velero.delete(&stored).await;
    assert_refused(
        deleted,
        "keyloan-records: only Keyloan's operator can delete decisions and records",
    );
    b.operator.patch(&stored, &longer).await.unwrap();
}

/// The record of the grant with this uid.
fn restored(uid: &str, change: &Value) -> Value {
    let mut record = merged(record(uid), change);
    record["spec"]["grant"]["uid"] = json!(uid);
    record
}
