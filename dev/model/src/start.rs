//! How every search begins: alice asks for an item for two hours, and one approver has to agree.

use std::sync::Arc;

use jiff::Timestamp;
use keyloan::api::{AccessDecision, AccessFlow, AccessGrant, Decision, OnePasswordIntegration};
use keyloan::plan::inventory::{Inventory, ItemSeen, VaultSeen};
use keyloan::plan::observed::{IntegrationSeen, Observed};
use keyloan::plan::quota::Budget;
use serde_json::{Value, json};

/// The uid of the request.
pub const GRANT_UID: &str = "grant-1";

/// The times that matter, in minutes after the request: the loan takes two hours, a link one.
pub const MINUTES: [i64; 6] = [0, 55, 61, 119, 125, 300];

/// The time at this place in the list.
pub fn time(index: u8) -> Timestamp {
    let minutes = MINUTES
        .get(usize::from(index))
        .copied()
        .unwrap_or(i64::from(u16::MAX));
    "2026-11-23T10:00:00Z"
        .parse::<Timestamp>()
        .ok()
        .and_then(|start| {
            start
                .checked_add(jiff::SignedDuration::from_mins(minutes))
                .ok()
        })
        .unwrap_or_default()
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    match serde_json::from_value(value) {
        Ok(object) => object,
        Err(error) => panic!("the model's own objects do not fit the API: {error}"),
    }
}

fn meta(namespace: &str, name: &str, uid: &str, made: Timestamp) -> Value {
    json!({ "namespace": namespace, "name": name, "uid": uid, "generation": 1, "creationTimestamp": made })
}

/// The request.
pub fn grant() -> AccessGrant {
    object(json!({
        "metadata": meta("team-a", "alice-db", GRANT_UID, time(0)),
        "spec": {
            "integration": { "name": "prod", "namespace": "keyloan" },
            "item": { "vault": "Infra", "item": "db" },
            "duration": "2h",
            "requester": { "username": "alice", "groups": ["engineering"], "email": "alice@example.com" },
        },
    }))
}

fn flow() -> AccessFlow {
    object(json!({
        "metadata": meta("keyloan", "oncall", "flow-1", time(0)),
        "spec": {
            "integration": "prod",
            "namespaces": { "from": "All" },
            "requesters": [{ "kind": "Group", "name": "engineering" }],
            "items": { "include": [{ "vault": "Infra" }] },
            "grant": { "maxDuration": "8h", "defaultDuration": "1h", "linkLifetime": "1h", "renewal": "OnRequest" },
            "approval": {
                "mode": "AllOf",
                "groups": [{ "name": "owner", "approvers": [{ "kind": "Group", "name": "owners" }] }],
            },
        },
    }))
}

fn integration() -> OnePasswordIntegration {
    object(json!({
        "metadata": meta("keyloan", "prod", "integration-1", time(0)),
        "spec": {
            "auth": { "serviceAccountToken": { "secretRef": { "name": "op-token", "key": "token" } } },
            "plan": "Business",
        },
        "status": {
            "account": "prod@1password.com",
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Ready", "message": "",
                "observedGeneration": 1, "lastTransitionTime": time(0),
            }],
        },
    }))
}

/// A decision, by the approver with this number. An approval counts for a day and a revocation
/// always, which is more than a search lasts, so their times are left out.
pub fn decision(
    number: usize,
    what: Decision,
    digest: Option<&str>,
    made: Timestamp,
) -> AccessDecision {
    let who = match what {
        Decision::Revoke => {
            json!({ "username": "alice", "groups": ["engineering"], "email": "alice@example.com" })
        }
        Decision::Approve | Decision::Deny => {
            let email = format!("approver-{number}@example.com");
            json!({ "username": email, "groups": ["owners"], "email": email })
        }
    };
    let made = match what {
        Decision::Deny => made,
        Decision::Approve | Decision::Revoke => time(0),
    };
    let digest = digest.filter(|_| what == Decision::Approve);
    // Decisions that count for nothing are left out, so they must not change the names of others.
    // There is at most one revocation that counts.
    let name = match what {
        Decision::Revoke => format!("revocation-{}", made.as_second()),
        Decision::Approve | Decision::Deny => format!("decision-{number}"),
    };
    object(json!({
        "metadata": meta("team-a", &name, &name, made),
        "spec": { "grant": "alice-db", "grantUid": GRANT_UID, "digest": digest, "decision": what, "approver": who },
    }))
}

/// What is observed besides the loan's own objects. It never changes.
pub fn surroundings() -> Observed {
    let item = ItemSeen {
        id: "item-1".into(),
        title: "db".into(),
        tags: Vec::new(),
        updated_at: Timestamp::UNIX_EPOCH,
        active: true,
    };
    let vault = VaultSeen {
        id: "vault-1".into(),
        title: "Infra".into(),
        listed_at: Timestamp::UNIX_EPOCH,
        items: vec![item],
        refuted: Default::default(),
    };
    Observed {
        flows: vec![Arc::new(flow())],
        integration: Some(IntegrationSeen {
            object: Arc::new(integration()),
            inventory: Some(Arc::new(Inventory {
                vaults: vec![vault],
                policy: None,
            })),
            throttled_until: None,
            budget: Budget::default(),
        }),
        links_namespace: "keyloan-system-links".into(),
        ..Observed::default()
    }
}
