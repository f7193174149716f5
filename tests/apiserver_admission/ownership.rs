//! Nobody ties another person's grant or decision to something, and nobody asks for another person's link.

use serde_json::{Value, json};

use super::boundary::{Boundary, alices_grant, bobs_decision};
use super::guards::assert_refused;
use super::objects::{Person, merged};

/// Two ways to tie an object to another one.
fn ties(owner: &Value) -> [Value; 2] {
    let owners = json!({ "metadata": { "ownerReferences": [{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
    }] } });
    [
        owners,
        json!({ "metadata": { "finalizers": ["example.com/keep"] } }),
    ]
}

/// What takes any tie off again.
fn untied() -> Value {
    json!({ "metadata": { "ownerReferences": null, "finalizers": null } })
}

pub async fn who_owns_a_grant_is_not_for_others_to_change(b: &Boundary) {
    const MESSAGE: &str =
        "keyloan-ownership: only its requester, or who holds the verb 'revoke' on it";
    let owner = b.alice.create(&alices_grant("owner")).await.unwrap();
    let grant = alices_grant("tied");
    b.alice.create(&grant).await.unwrap();
    // The revokers hold the verb since they deleted a grant.
    let revoker = b
        .cluster
        .impersonating("revoker", &["revokers", "system:authenticated"])
        .await;
    for tie in ties(&owner) {
        for person in [&b.bob, &b.mallory, &b.pipeline] {
            refused_in_every_way(person, &grant, &tie, MESSAGE).await;
        }
        for person in [&b.alice, &b.operator, &revoker] {
            person.patch(&grant, &tie).await.unwrap();
            let refusal = b.mallory.patch(&grant, &untied()).await;
            assert_refused(refusal, MESSAGE);
            person.patch(&grant, &untied()).await.unwrap();
        }
    }
}

pub async fn a_decision_is_owned_by_its_grant_or_by_nothing(b: &Boundary) {
    const MADE: &str = "keyloan-ownership: nothing but the grant that it names may own a decision";
    const LATER: &str =
        "keyloan-ownership: nobody can change the owners and finalizers of a decision";
    let grant = b.alice.create(&alices_grant("decided")).await.unwrap();
    let names_it = json!({ "spec": { "grant": "decided", "grantUid": grant["metadata"]["uid"] } });
    let decision = merged(bobs_decision("tied"), &names_it);
    let owner = |change: Value| {
        let owner = json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant",
            "name": "decided", "uid": grant["metadata"]["uid"],
        });
        merged(owner, &change)
    };
    let owned_by = |owners: &[Value]| {
        let change = json!({ "metadata": { "ownerReferences": owners } });
        merged(decision.clone(), &change)
    };
    let truth = owner(json!({}));
    for foreign in [
        vec![owner(
            json!({ "uid": "5af1b1e5-253d-4248-bfcb-ecf3b5ae084b" }),
        )],
        vec![owner(json!({ "name": "another" }))],
        vec![owner(json!({ "kind": "AccessFlow" }))],
        vec![owner(json!({ "apiVersion": "example.com/v1" }))],
        vec![
            truth.clone(),
            owner(json!({ "apiVersion": "v1", "kind": "ConfigMap" })),
        ],
    ] {
        assert_refused(b.bob.create(&owned_by(&foreign)).await, MADE);
    }
    b.bob.dry_run(&decision).await.unwrap();
    let stored = b.bob.create(&owned_by(&[truth])).await.unwrap();

    let another = b.alice.create(&alices_grant("another")).await.unwrap();
    for tie in ties(&another) {
        for person in [&b.alice, &b.bob, &b.mallory, &b.pipeline, &b.admin] {
            refused_in_every_way(person, &decision, &tie, LATER).await;
        }
    }
    for person in [&b.bob, &b.mallory] {
        assert_refused(person.patch(&stored, &untied()).await, LATER);
        let label = json!({ "metadata": { "labels": { "seen": "yes" } } });
        person
            .patch(&stored, &label)
            .await
            .expect("labels tie nothing");
    }
    b.operator.patch(&stored, &untied()).await.unwrap();
}

pub async fn nothing_is_made_with_a_finalizer(b: &Boundary) {
    let kept = json!({ "metadata": { "finalizers": ["example.com/keep"] } });
    for (object, maker) in [
        (alices_grant("kept-for-ever"), &b.alice),
        (bobs_decision("kept-for-ever"), &b.bob),
    ] {
        assert_refused(
            maker.create(&merged(object.clone(), &kept)).await,
            "keyloan-ownership: leave metadata.finalizers out",
        );
        maker.create(&object).await.unwrap();
    }
}

pub async fn only_the_borrower_asks_for_the_next_link(b: &Boundary) {
    const MESSAGE: &str =
        "keyloan-ownership: only its requester can ask for the next link of a loan";
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
        let note = json!({ "metadata": { "annotations": { "note": "seen" } } });
        person
            .patch(&grant, &note)
            .await
            .expect("a note asks for nothing");
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
