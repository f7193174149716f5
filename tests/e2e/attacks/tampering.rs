//! Changing, deleting and forging what others have written.

use data_encoding::BASE64URL_NOPAD;
use keyloan::api::*;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::scene::{Scene, refused, said};
use crate::world::{PLATFORM, TEAM};

/// A decision never changes what it says and about what, and nobody can remove it.
pub async fn decisions(scene: &Scene) {
    let grant = scene.waiting().await;
    let made = scene.decide("bob", &grant, "Approve").await;
    let decision: AccessDecision = serde_json::from_value(made).expect("a decision");
    for (member, value) in [
        ("decision", json!("Deny")),
        ("digest", json!("sha256:other")),
        ("grant", json!("another")),
        ("grantUid", json!("another")),
    ] {
        let change = json!({ "spec": { member: value } });
        for who in ["bob", "mallory"] {
            let changed = scene.patch(who, &decision, change.clone()).await;
            refused(changed, "a decision cannot be changed: create another one");
        }
    }
    for who in ["bob", "mallory"] {
        refused(
            scene.delete(who, &decision).await,
            "keyloan-records: only Keyloan's operator can delete decisions and records",
        );
    }
    scene.is_lent(&grant).await;
}

/// A request stays as it was made: by patch, by replace, by server-side apply; and is nobody else's to delete.
pub async fn grants(scene: &Scene) {
    let grant = scene.waiting().await;
    let changes = [
        ("duration", json!("8h")),
        ("recipients", json!(["mallory@example.com"])),
        ("viewOnce", json!(true)),
        ("justification", json!("because")),
        ("flow", json!("oncall")),
        ("notAfter", json!("2999-01-01T00:00:00Z")),
        ("item", json!({ "vault": "Infra", "item": "web console" })),
        (
            "requester",
            json!({ "username": "mallory@example.com", "groups": ["engineering"] }),
        ),
    ];
    for (member, value) in changes {
        let change = json!({ "spec": { member: value } });
        let changed = scene.patch("mallory", &grant, change).await;
        // Where identities are stamped, the requester is written back, and nothing has changed.
        if scene.stamped && member == "requester" {
            changed.expect("without effect");
        } else {
            refused(changed, "a request cannot be changed after its creation");
        }
    }
    let mallorys: Api<AccessGrant> = Api::namespaced(scene.person("mallory").await, TEAM);
    let mut replaced = mallorys.get(&grant.name_any()).await.expect("readable");
    replaced.spec.recipients = Some(vec![Email("mallory@example.com".into())]);
    let outcome = mallorys
        .replace(&grant.name_any(), &Default::default(), &replaced)
        .await;
    refused(
        outcome.map_err(said),
        "a request cannot be changed after its creation",
    );
    let mut applied = scene.request_of("mallory");
    applied["metadata"] = json!({ "name": grant.name_any(), "namespace": TEAM });
    applied["spec"]["recipients"] = json!(["mallory@example.com"]);
    let params = PatchParams::apply("mallory").force();
    let outcome = mallorys
        .patch(&grant.name_any(), &params, &Patch::Apply(&applied))
        .await;
    refused(
        outcome.map_err(said),
        "a request cannot be changed after its creation",
    );

    for who in ["mallory", "bob"] {
        refused(
            scene.delete(who, &grant).await,
            "keyloan-identity: only the requester",
        );
    }
    let owner = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone" }]);
    let orphaned = json!({ "metadata": { "ownerReferences": owner } });
    refused(
        scene.patch("mallory", &grant, orphaned).await,
        "keyloan-ownership:",
    );
    // Full of labels it would have no room left for its status.
    for count in [60, 12_000] {
        let labels: serde_json::Map<String, Value> = (0..count)
            .map(|n| (format!("example.com/label-{n}"), json!("x".repeat(60))))
            .collect();
        let full = json!({ "metadata": { "labels": labels } });
        refused(
            scene.patch("mallory", &grant, full).await,
            "keyloan-ownership:",
        );
    }
    let kept = json!({ "metadata": { "finalizers": ["example.com/keep"] } });
    for who in ["alice", "mallory", "admin"] {
        refused(
            scene.patch(who, &grant, kept.clone()).await,
            "keyloan-ownership: leave metadata.finalizers out",
        );
    }
    let seen = scene.world.until(&grant, |_| true).await;
    assert_eq!(seen.spec, grant.spec);
    scene.is_lent(&grant).await;
}

/// Status and records are the operator's word.
pub async fn what_the_operator_writes(scene: &Scene) {
    let grant = scene.waiting().await;
    for who in ["alice", "admin"] {
        let api: Api<AccessGrant> = Api::namespaced(scene.person(who).await, TEAM);
        let forged = json!({ "status": { "phase": "Active", "digest": "x" } });
        let name = grant.name_any();
        let written = api
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(forged))
            .await;
        let message = written.map_err(said).expect_err("the attack succeeded");
        // Alice has no right to it at all; the administrator has every right, and is refused by the policy.
        let why = if who == "admin" {
            "keyloan-status: only Keyloan's operator can write status"
        } else {
            "cannot patch"
        };
        assert!(message.contains(why), "{message}");
    }
    scene.is_lent(&grant).await;
    let record = scene
        .world
        .until_record(&grant, |r| r.spec.end.is_some())
        .await;
    let shortened = json!({ "spec": { "residualUntil": null } });
    refused(
        scene.patch("admin", &record, shortened).await,
        "keyloan-records: only Keyloan's operator can write records",
    );
    refused(
        scene.delete("admin", &record).await,
        "keyloan-records: only Keyloan's operator can delete decisions and records",
    );
}

/// A second integration on somebody else's token, and a token that leads elsewhere.
pub async fn integrations(scene: &Scene) {
    let rights = format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: integrations, namespace: {PLATFORM}}}
rules: [{{apiGroups: [keyloan.dev], resources: [onepasswordintegrations], verbs: [create, patch]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: integrations, namespace: {PLATFORM}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: integrations}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: mallory@example.com}}]
"
    );
    keyloan_cluster::apply_yaml(&scene.world.admin, &rights)
        .await
        .expect("applied");
    let second = json!({
        "apiVersion": "keyloan.dev/v1alpha1",
        "kind": "OnePasswordIntegration",
        "metadata": { "name": "mine", "namespace": PLATFORM },
        "spec": { "auth": { "serviceAccountToken": { "secretRef": { "name": "prod-token" } } }, "plan": "Business" },
    });
    let within = std::time::Duration::from_secs(60);
    let refusal = tokio::time::timeout(within, async {
        loop {
            let message = scene
                .create("mallory", second.clone())
                .await
                .expect_err("the attack succeeded");
            // RBAC takes a moment to learn of a new role.
            if message.contains("keyloan-token:") {
                return message;
            }
        }
    });
    let message = refusal.await.expect("refused by the policy");
    assert!(
        message.contains("ask for the right to get the Secret \"prod-token\""),
        "{message}"
    );

    // Who may read the token may name it; the operator still reads it for its own integration alone.
    scene.create("admin", second).await.expect("stored");
    let reason = scene.world.until_integration("mine", "False").await;
    assert_eq!(reason, "SecretOfAnotherIntegration");

    // One that leads elsewhere is not even tried.
    scene
        .world
        .token(
            "away",
            &leading_elsewhere(&scene.world.control.token("lender").await.expect("a token")),
        )
        .await;
    scene.world.create_integration("away").await;
    let requests = scene.world.control.requests().await.expect("the log").total;
    assert_eq!(
        scene.world.until_integration("away", "False").await,
        "ForeignOrigin"
    );
    assert_eq!(
        scene.world.control.requests().await.expect("the log").total,
        requests
    );
}

/// The same token for another host, well formed in all.
fn leading_elsewhere(token: &str) -> String {
    let encoded = token.strip_prefix("ops_").expect("a token");
    let mut token: Value =
        serde_json::from_slice(&BASE64URL_NOPAD.decode(encoded.as_bytes()).expect("base64"))
            .expect("JSON");
    token["signInAddress"] = json!("https://1password.example");
    format!(
        "ops_{}",
        BASE64URL_NOPAD.encode(token.to_string().as_bytes())
    )
}
