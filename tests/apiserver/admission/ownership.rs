//! Nobody changes the metadata of another person's grant or of a decision, or asks for another person's link; and none of it is large.

use serde_json::{Value, json};

use super::boundary::{Boundary, alices_grant, bobs_decision};
use super::guards::assert_refused;
use crate::support::objects::{Person, merged};

const NO_FINALIZERS: &str = "keyloan-ownership: leave metadata.finalizers out";
const TOO_LARGE: &str = "keyloan-ownership: metadata is too large";

/// Ways to change metadata that tie an object to another one, or say something about it.
fn changes(owner: &Value) -> [Value; 3] {
    let owners = json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
    }]);
    [
        json!({ "metadata": { "ownerReferences": owners } }),
        json!({ "metadata": { "labels": { "seen": "yes" } } }),
        json!({ "metadata": { "annotations": { "note": "seen" } } }),
    ]
}

/// What takes any of them off again.
fn unchanged() -> Value {
    json!({ "metadata": { "ownerReferences": null, "labels": null, "annotations": null } })
}

fn finalizer() -> Value {
    json!({ "metadata": { "finalizers": ["example.com/keep"] } })
}

pub async fn the_metadata_of_a_grant_is_not_for_others_to_change(b: &Boundary) {
    const MESSAGE: &str =
        "keyloan-ownership: only the requester, or someone with the verb 'revoke' on the grant";
    let owner = b.alice.create(&alices_grant("owner")).await.unwrap();
    let grant = alices_grant("tied");
    b.alice.create(&grant).await.unwrap();
    // The revokers hold the verb since they deleted a grant.
    let revoker = b
        .cluster
        .impersonating("revoker", &["revokers", "system:authenticated"])
        .await;
    for change in changes(&owner) {
        for person in [&b.bob, &b.mallory, &b.pipeline] {
            refused_in_every_way(person, &grant, &change, MESSAGE).await;
        }
        for person in [&b.alice, &b.operator, &revoker] {
            person.patch(&grant, &change).await.unwrap();
            let refusal = b.mallory.patch(&grant, &unchanged()).await;
            assert_refused(refusal, MESSAGE);
            person.patch(&grant, &unchanged()).await.unwrap();
        }
    }
    for person in [&b.alice, &b.bob, &b.operator, &revoker, &b.admin] {
        refused_in_every_way(person, &grant, &finalizer(), NO_FINALIZERS).await;
    }
}

/// As in `kubectl get -o yaml | kubectl replace -f -`; but who writes nothing must not leave a megabyte behind.
pub async fn a_write_that_changes_nothing_leaves_nothing_large(b: &Boundary) {
    const MESSAGES: [&str; 2] = [
        "keyloan-ownership: only the requester, or someone with the verb 'revoke' on the grant",
        "keyloan-ownership: nobody can change the metadata of a decision",
    ];
    let made = [
        (alices_grant("written-again"), &b.alice),
        (bobs_decision("written-again"), &b.bob),
    ];
    for ((object, maker), message) in made.into_iter().zip(MESSAGES) {
        let stored = maker.create(&object).await.unwrap();
        let again = b.mallory.put(&stored).await.unwrap();
        assert_eq!(again["spec"], stored["spec"]);
        let fields: serde_json::Map<String, Value> = (0..2_000)
            .map(|n| (format!("f:a-label-that-is-not-there-{n}"), json!({})))
            .collect();
        let claim = json!({ "metadata": { "managedFields": [{
            "manager": "m", "operation": "Update", "apiVersion": object["apiVersion"],
            "fieldsType": "FieldsV1", "fieldsV1": { "f:metadata": { "f:labels": fields } },
            "time": "2026-11-23T12:00:00Z",
        }] } });
        assert_refused(b.mallory.patch(&object, &claim).await, message);
    }
}

pub async fn a_decision_is_owned_by_nothing_and_stays_as_it_is(b: &Boundary) {
    const MADE: &str = "keyloan-ownership: a decision cannot have owners";
    const LATER: &str = "keyloan-ownership: nobody can change the metadata of a decision";
    let grant = b.alice.create(&alices_grant("decided")).await.unwrap();
    let names_it = json!({ "spec": { "grant": "decided", "grantUid": grant["metadata"]["uid"] } });
    let decision = merged(bobs_decision("tied"), &names_it);
    let [owned, ..] = changes(&grant);
    assert_refused(b.bob.create(&merged(decision.clone(), &owned)).await, MADE);
    let labelled = json!({ "metadata": { "labels": { "made-by": "a-script" } } });
    b.bob
        .create(&merged(decision.clone(), &labelled))
        .await
        .unwrap();

    let everybody = [&b.alice, &b.bob, &b.mallory, &b.pipeline, &b.admin];
    let [owned, label, note] = changes(&grant);
    for person in everybody {
        refused_in_every_way(person, &decision, &owned, MADE).await;
        refused_in_every_way(person, &decision, &label, LATER).await;
        refused_in_every_way(person, &decision, &note, LATER).await;
        refused_in_every_way(person, &decision, &finalizer(), NO_FINALIZERS).await;
    }
    b.operator.patch(&decision, &label).await.unwrap();
    assert_refused(b.operator.patch(&decision, &owned).await, MADE);
}

pub async fn nothing_is_made_with_a_finalizer(b: &Boundary) {
    for (object, maker) in [
        (alices_grant("kept-for-ever"), &b.alice),
        (bobs_decision("kept-for-ever"), &b.bob),
    ] {
        let kept = merged(object.clone(), &finalizer());
        assert_refused(maker.create(&kept).await, NO_FINALIZERS);
        maker.create(&object).await.unwrap();
    }
}

/// An object that is full of labels has no room left for its status.
pub async fn metadata_is_small(b: &Boundary) {
    let of_labels = |count: usize| -> Value {
        let labels: serde_json::Map<String, Value> = (0..count)
            .map(|n| (format!("example.com/label-{n}"), json!("x".repeat(60))))
            .collect();
        json!({ "metadata": { "labels": labels } })
    };
    let noted = |key: &str, size: usize| json!({ "metadata": { "annotations": { key: "x".repeat(size) } } });
    let owned = |size: usize| {
        let owner = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "x".repeat(size), "uid": "u" });
        json!({ "metadata": { "ownerReferences": [owner] } })
    };
    let too_large = [
        of_labels(65),
        // As many as the API server takes.
        of_labels(12_000),
        noted("example.com/note", 17_000),
        owned(17_000),
        merged(noted("example.com/note", 9_000), &owned(9_000)),
    ];
    let small = [
        of_labels(60),
        noted("example.com/note", 10_000),
        // What kubectl apply writes is the object itself.
        noted("kubectl.kubernetes.io/last-applied-configuration", 100_000),
    ];
    let made = [
        (alices_grant("small"), &b.alice),
        (bobs_decision("small"), &b.bob),
    ];
    for (object, maker) in made {
        for fat in &too_large {
            let owns = fat["metadata"]["ownerReferences"].is_array();
            if owns && object["kind"] == "AccessDecision" {
                continue;
            }
            let fat = merged(object.clone(), fat);
            assert_refused(maker.create(&fat).await, TOO_LARGE);
        }
        for small in &small {
            let small = merged(object.clone(), small);
            maker.dry_run(&small).await.unwrap();
        }
    }
    let grant = alices_grant("small");
    b.alice.create(&grant).await.unwrap();
    for fat in &too_large {
        assert_refused(b.alice.patch(&grant, fat).await, TOO_LARGE);
    }
    for small in &small {
        b.alice.patch(&grant, small).await.unwrap();
        b.alice.patch(&grant, &unchanged()).await.unwrap();
    }
}

pub async fn only_the_borrower_asks_for_the_next_link(b: &Boundary) {
    const MESSAGE: &str =
        "keyloan-ownership: only the requester can ask for the next link of a loan";
    let wish = |time: Value| json!({ "metadata": { "annotations": { "keyloan.dev/renew-requested-at": time } } });
    let grant = alices_grant("renewed");
    b.alice.create(&grant).await.unwrap();
    let others = [&b.bob, &b.mallory, &b.pipeline, &b.admin];
    for person in others {
        refused_in_every_way(
            person,
            &grant,
            &wish(json!("2026-11-23T12:00:00Z")),
            MESSAGE,
        )
        .await;
    }
    let wished = wish(json!("2026-11-23T13:00:00Z"));
    let stored = b.alice.patch(&grant, &wished).await.unwrap();
    let asked = &stored["metadata"]["annotations"]["keyloan.dev/renew-requested-at"];
    assert_eq!(asked, "2026-11-23T13:00:00Z");
    for person in others {
        for change in [json!("2026-11-23T14:00:00Z"), json!(null)] {
            assert_refused(person.patch(&grant, &wish(change)).await, MESSAGE);
        }
        assert_refused(
            person
                .patch(&grant, &json!({ "metadata": { "annotations": null } }))
                .await,
            MESSAGE,
        );
    }
    b.alice.patch(&grant, &wish(json!(null))).await.unwrap();
}

/// By a patch, by `kubectl replace`, and by server-side apply.
async fn refused_in_every_way(person: &Person, object: &Value, change: &Value, message: &str) {
    assert_refused(person.patch(object, change).await, message);
    let current = person.get(object).await.unwrap();
    assert_refused(person.put(&merged(current, change)).await, message);
    let applied = merged(object.clone(), change);
    assert_refused(person.apply(&applied, "somebody").await, message);
}
