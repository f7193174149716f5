//! Nothing of ours keeps what should go: garbage collection and the namespace's end pass where people are refused.

use std::time::Duration;

use serde_json::{Value, json};

use super::boundary::{Boundary, alices_grant, bobs_decision, flow, integration, record};
use super::guards::allow_reading_the_token;
use crate::support::objects::merged;

pub async fn a_namespace_that_holds_all_kinds_ends(b: &Boundary, name: &str) {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name },
    });
    b.admin.create(&namespace).await.unwrap();
    allow_reading_the_token(b, name).await;
    let there = |object: Value| merged(object, &json!({ "metadata": { "namespace": name } }));
    let grant = b.alice.create(&there(alices_grant("all"))).await.unwrap();
    let decision = decision_about(&grant);
    b.bob.create(&decision).await.unwrap();

    b.alice.delete(&grant).await.unwrap();
    b.admin
        .get(&decision)
        .await
        .expect("a decision outlives its request");

    b.alice.create(&there(alices_grant("all"))).await.unwrap();
    b.alice.create(&there(integration("all"))).await.unwrap();
    b.alice.create(&there(flow("all"))).await.unwrap();
    b.operator.create(&there(record("all"))).await.unwrap();
    for ours in KINDS {
        let object = there(
            json!({ "apiVersion": "keyloan.dev/v1alpha1", "kind": ours, "metadata": { "name": "all" } }),
        );
        b.admin.get(&object).await.unwrap();
    }
    b.admin.delete(&namespace).await.unwrap();
    gone(b, &namespace, "the namespace ends").await;
}

/// All that are ours.
const KINDS: [&str; 5] = [
    "AccessDecision",
    "AccessFlow",
    "AccessGrant",
    "AccessRecord",
    "OnePasswordIntegration",
];

/// What bob decides about a grant.
fn decision_about(grant: &Value) -> Value {
    let meta = &grant["metadata"];
    let names_it = json!({
        "metadata": { "namespace": meta["namespace"] },
        "spec": { "grant": meta["name"], "grantUid": meta["uid"] },
    });
    merged(bobs_decision("all"), &names_it)
}

pub fn owned_by(owner: &Value) -> Value {
    json!({ "metadata": { "ownerReferences": [{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
    }] } })
}

pub async fn gone(b: &Boundary, object: &Value, what: &str) {
    for _ in 0..600 {
        if let Err(refusal) = b.admin.get(object).await {
            assert_eq!(refusal.0.code, 404, "{refusal:?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!(
        "{what}: it does not within a minute: {:?}",
        b.admin.get(object).await
    );
}
