//! For each CEL rule in `crds/`, objects that it refuses, written by hand; and twins that just pass.

use serde_json::{Value, json};

/// A change of the full object of a kind, as a JSON merge patch, that breaks one rule.
pub struct Violation {
    /// The rule, as `constraints::Constraint` prints it.
    pub rule: &'static str,
    /// The change.
    pub change: Value,
    /// Whether the rule compares with the object as it was: then the change is an update.
    pub update: bool,
}

fn create(rule: &'static str, change: Value) -> Violation {
    Violation {
        rule,
        change,
        update: false,
    }
}

fn update(rule: &'static str, change: Value) -> Violation {
    Violation {
        rule,
        change,
        update: true,
    }
}

/// At least one violation of every rule.
pub fn violations() -> Vec<Violation> {
    let mut violations = integration();
    violations.extend(flow());
    violations.extend(grant());
    violations.extend(decision_and_record());
    violations.extend(notifier());
    violations
}

fn notifier() -> Vec<Violation> {
    const NAME: &str = "AccessNotifier: the name of a notifier becomes the value of a label: at most 63 characters, and no dots";
    const CHANNEL: &str =
        "AccessNotifier.spec: set exactly one channel: slack, teams, webhook or email";
    let slack = json!({ "urlSecretRef": { "name": "slack", "key": "url" } });
    vec![
        create(NAME, json!({ "metadata": { "name": "a".repeat(64) } })),
        create(NAME, json!({ "metadata": { "name": "ops.eu" } })),
        create(CHANNEL, json!({ "spec": { "email": null } })),
        create(CHANNEL, json!({ "spec": { "slack": slack } })),
        create(
            "AccessNotifier.spec: remindAfter has no effect without the event Reminder: add it to events",
            json!({ "spec": { "events": ["Requested"] } }),
        ),
        create(
            "AccessNotifier.spec.remindAfter: remindAfter must be at least 10m",
            json!({ "spec": { "remindAfter": "9m" } }),
        ),
        create(
            "AccessNotifier.spec.email: to names nobody: set requester, recipients, addresses or groups",
            json!({ "spec": { "email": { "to": { "requester": false, "recipients": false, "addresses": [], "groups": [] } } } }),
        ),
    ]
}

fn integration() -> Vec<Violation> {
    const NAME: &str = "OnePasswordIntegration: the name of an integration becomes the value of a label: at most 63 characters, and no dots";
    const OWNERS: &str = "OnePasswordIntegration.spec: resourceOwner requires owners: they decide if an item's owner tag is missing or unknown";
    vec![
        create(NAME, json!({ "metadata": { "name": "a".repeat(64) } })),
        create(NAME, json!({ "metadata": { "name": "prod.eu" } })),
        create(OWNERS, json!({ "spec": { "owners": null } })),
        create(OWNERS, json!({ "spec": { "owners": [] } })),
        create(
            "OnePasswordIntegration.spec.auth: auth requires exactly one way to sign in: set serviceAccountToken",
            json!({ "spec": { "auth": { "serviceAccountToken": null } } }),
        ),
        create(
            "OnePasswordIntegration.spec.discoveryInterval: discoveryInterval must be at least 1h: listing counts against the account's request limits",
            json!({ "spec": { "discoveryInterval": "59m" } }),
        ),
        create(
            "OnePasswordIntegration.spec.limits.maxDuration: maxDuration must be at least 1h, the shortest 1Password link lifetime",
            json!({ "spec": { "limits": { "maxDuration": "59m" } } }),
        ),
        create(
            "OnePasswordIntegration.spec.limits.blocked[]: system groups (system:...) are removed from identities and match nobody; name a group of your own",
            json!({ "spec": { "limits": { "blocked": [{ "kind": "Group", "name": "system:masters" }] } } }),
        ),
        create(
            "OnePasswordIntegration.spec.owners[]: system groups (system:...) are removed from identities and match nobody; name a group of your own",
            json!({ "spec": { "owners": [{ "kind": "Group", "name": "system:authenticated" }] } }),
        ),
        create(
            "OnePasswordIntegration.spec.owners: ServiceAccounts cannot decide; name a person or a group",
            json!({ "spec": { "owners": [{ "kind": "User", "name": "system:serviceaccount:ci:bot" }] } }),
        ),
    ]
}

fn flow() -> Vec<Violation> {
    const GROUPS: &str = "AccessFlow.spec.approval: groups are required with mode AnyOf or AllOf, and not allowed with mode None";
    const APPROVER_NAME: &str = "AccessFlow.spec.approval.groups[].approvers[]: name is required for User and Group, and is not allowed for ResourceOwner and IntegrationOwner";
    const SELECTOR: &str = "AccessFlow.spec.namespaces: selector is required with from: Selector, and not allowed otherwise";
    const SERVICE_ACCOUNT: &str = "AccessFlow.spec.requesters[]: namespace is required for a ServiceAccount, and not allowed otherwise";
    let approver = |approver: Value| json!({ "spec": { "approval": { "groups": [{ "name": "g", "approvers": [approver] }] } } });
    let requester = |requester: Value| json!({ "spec": { "requesters": [requester] } });
    vec![
        create(
            GROUPS,
            json!({ "spec": { "approval": { "mode": "None" } } }),
        ),
        create(
            GROUPS,
            json!({ "spec": { "approval": { "groups": null } } }),
        ),
        create(
            GROUPS,
            json!({ "spec": { "approval": { "mode": "AnyOf", "groups": [] } } }),
        ),
        create(APPROVER_NAME, approver(json!({ "kind": "Group" }))),
        create(
            APPROVER_NAME,
            approver(json!({ "kind": "ResourceOwner", "name": "bob" })),
        ),
        create(
            "AccessFlow.spec.approval.groups[].approvers[]: system groups (system:...) are removed from identities and match nobody; name a group of your own",
            approver(json!({ "kind": "Group", "name": "system:masters" })),
        ),
        create(
            "AccessFlow.spec.approval.groups[].approvers[]: ServiceAccounts cannot decide; name a person or a group",
            approver(json!({ "kind": "User", "name": "system:serviceaccount:ci:bot" })),
        ),
        create(
            "AccessFlow.spec.grant.maxDuration: maxDuration must be at least 1h, the shortest 1Password link lifetime",
            json!({ "spec": { "grant": { "maxDuration": "59m" } } }),
        ),
        create(
            "AccessFlow.spec.grant.defaultDuration: defaultDuration must be at least 1h, the shortest 1Password link lifetime",
            json!({ "spec": { "grant": { "defaultDuration": "59m" } } }),
        ),
        create(
            SELECTOR,
            json!({ "spec": { "namespaces": { "selector": null } } }),
        ),
        create(
            SELECTOR,
            json!({ "spec": { "namespaces": { "from": "All" } } }),
        ),
        create(
            "AccessFlow.spec.requesters[]: system groups (system:...) are removed from identities and match nobody; name a group of your own",
            requester(json!({ "kind": "Group", "name": "system:authenticated" })),
        ),
        create(
            SERVICE_ACCOUNT,
            requester(json!({ "kind": "ServiceAccount", "name": "bot" })),
        ),
        create(
            SERVICE_ACCOUNT,
            requester(json!({ "kind": "User", "name": "alice", "namespace": "ci" })),
        ),
        create(
            "AccessFlow.spec.timeframe: from and to must differ: write from 00:00 to 24:00 for whole days, or leave timeframe out to allow any time",
            json!({ "spec": { "timeframe": { "from": "18:00" } } }),
        ),
        create(
            "AccessFlow.spec.timeframe: from cannot be 24:00, the end of the day: write 00:00 and the following day",
            json!({ "spec": { "timeframe": { "from": "24:00" } } }),
        ),
    ]
}

fn grant() -> Vec<Violation> {
    const TOO_SHORT: &str = "AccessGrant.spec.duration: duration must be at least 1h, the shortest 1Password link lifetime";
    vec![
        update(
            "AccessGrant.spec: a request cannot be changed after its creation: delete it and request again",
            json!({ "spec": { "item": { "item": "another" } } }),
        ),
        create(
            "AccessGrant.spec: a single-view link can have only one recipient",
            json!({ "spec": { "viewOnce": true, "recipients": ["a@example.com", "b@example.com"] } }),
        ),
        create(TOO_SHORT, json!({ "spec": { "duration": "59m" } })),
        create(TOO_SHORT, json!({ "spec": { "duration": "0h59m59s" } })),
        create(TOO_SHORT, json!({ "spec": { "duration": "0w0d3599s" } })),
    ]
}

fn decision_and_record() -> Vec<Violation> {
    const FIXED: &str = "AccessRecord.spec: the agreed terms of a record cannot be changed";
    const ASKED: &str = "AccessRecord.spec: the justification and the time of the request cannot be changed in a record";
    const NOTHING: &str = "AccessRecord.spec: the record of a request that was not granted has no links, and its outcome is the reason of its end";
    const LENT: &str = "AccessRecord.spec: a loan does not end with the reason Denied, TakenBack, Lapsed or Failed";
    vec![
        update(
            "AccessDecision.spec: a decision cannot be changed: create another one",
            json!({ "spec": { "decision": "Deny", "maxDuration": null } }),
        ),
        create(
            "AccessDecision.spec: Approve requires the digest of the approved terms: copy status.digest of the grant",
            json!({ "spec": { "digest": null } }),
        ),
        create(
            "AccessDecision.spec: maxDuration is allowed with Approve only: only an approval can shorten a loan",
            json!({ "spec": { "decision": "Revoke" } }),
        ),
        create(
            "AccessDecision.spec.maxDuration: maxDuration must be at least 1h, the shortest 1Password link lifetime",
            json!({ "spec": { "maxDuration": "59m" } }),
        ),
        update(FIXED, json!({ "spec": { "grant": { "uid": "another" } } })),
        update(
            FIXED,
            json!({ "spec": { "requester": { "username": "mallory@example.com" } } }),
        ),
        update(FIXED, json!({ "spec": { "terms": { "duration": "30d" } } })),
        update(FIXED, json!({ "spec": { "digest": "sha256:ff" } })),
        update(
            ASKED,
            json!({ "spec": { "justification": "another reason" } }),
        ),
        update(ASKED, json!({ "spec": { "justification": null } })),
        update(
            ASKED,
            json!({ "spec": { "requestedAt": "2026-11-23T11:56:00Z" } }),
        ),
        update(ASKED, json!({ "spec": { "requestedAt": null } })),
        update(ASKED, json!({ "spec": { "requestedOn": null } })),
        update(
            "AccessRecord.spec: the outcome cannot be changed in a record",
            json!({ "spec": { "outcome": "Denied", "links": null, "end": { "reason": "Denied" } } }),
        ),
        create(
            NOTHING,
            json!({ "spec": { "outcome": "Denied", "end": { "reason": "Denied" } } }),
        ),
        create(
            NOTHING,
            json!({ "spec": { "outcome": "Denied", "links": null } }),
        ),
        create(
            NOTHING,
            json!({ "spec": { "outcome": "Denied", "links": null, "end": null } }),
        ),
        create(
            NOTHING,
            json!({ "spec": { "outcome": "Lapsed", "links": null, "end": { "reason": "Denied" } } }),
        ),
        create(LENT, json!({ "spec": { "end": { "reason": "Denied" } } })),
        create(
            LENT,
            json!({ "spec": { "outcome": null, "end": { "reason": "Denied" } } }),
        ),
    ]
}

/// Changes of the full objects that are accepted, though they come close to what rules refuse.
pub fn near_misses() -> Vec<(&'static str, Value)> {
    vec![
        (
            "OnePasswordIntegration",
            json!({ "metadata": { "name": "a".repeat(63) } }),
        ),
        (
            "OnePasswordIntegration",
            json!({ "spec": { "owners": null, "resourceOwner": null } }),
        ),
        (
            "OnePasswordIntegration",
            json!({ "spec": { "discoveryInterval": "60m" } }),
        ),
        (
            "OnePasswordIntegration",
            json!({ "spec": { "limits": { "maxDuration": "1h" } } }),
        ),
        (
            "OnePasswordIntegration",
            json!({ "spec": { "limits": { "minApprovals": 10, "requesterShare": 100, "renewalShare": 90, "sharesPerMinute": 10_000 } } }),
        ),
        (
            "OnePasswordIntegration",
            json!({ "spec": { "limits": { "requesterShare": 1, "renewalShare": 0, "sharesPerMinute": 1 } } }),
        ),
        (
            "OnePasswordIntegration",
            json!({ "spec": { "limits": { "blocked": [{ "kind": "Group", "name": "systematic" }] } } }),
        ),
        (
            "OnePasswordIntegration",
            json!({ "spec": { "limits": { "blocked": [{ "kind": "User", "name": "system:serviceaccount:ci:bot" }] } } }),
        ),
        (
            "AccessFlow",
            json!({ "spec": { "approval": { "mode": "None", "groups": null } } }),
        ),
        (
            "AccessFlow",
            json!({ "spec": { "namespaces": { "from": "All", "selector": null } } }),
        ),
        ("AccessFlow", json!({ "spec": { "namespaces": null } })),
        (
            "AccessFlow",
            json!({ "spec": { "timeframe": { "from": "22:00", "to": "06:00" } } }),
        ),
        (
            "AccessFlow",
            json!({ "spec": { "timeframe": { "from": "00:00", "to": "24:00" } } }),
        ),
        (
            "AccessFlow",
            json!({ "spec": { "grant": { "maxDuration": "30d" } } }),
        ),
        (
            "AccessFlow",
            json!({ "spec": { "approval": { "groups": [{ "name": "owners", "approvers": [
                { "kind": "ResourceOwner" }, { "kind": "IntegrationOwner" }, { "kind": "User", "name": "system:admin" },
            ] }] } } }),
        ),
        ("AccessGrant", json!({ "spec": { "duration": "1h30m" } })),
        ("AccessGrant", json!({ "spec": { "duration": "2h0m0s" } })),
        ("AccessGrant", json!({ "spec": { "duration": "2w" } })),
        ("AccessGrant", json!({ "spec": { "duration": "3600s" } })),
        ("AccessGrant", json!({ "spec": { "duration": "0d90m" } })),
        (
            "AccessGrant",
            json!({ "spec": { "duration": "99999999999999999999m" } }),
        ),
        (
            "AccessGrant",
            json!({ "spec": { "notAfter": "2027-01-31T12:00:00+01:00" } }),
        ),
        (
            "AccessGrant",
            json!({ "spec": { "notAfter": "2027-01-31t12:00:00z" } }),
        ),
        (
            "AccessGrant",
            json!({ "spec": { "viewOnce": true, "recipients": ["a@example.com"] } }),
        ),
        (
            "AccessGrant",
            json!({ "spec": { "recipients": ["a+b@x-y.example.com", "o'neil_1@example.com"] } }),
        ),
        (
            "AccessDecision",
            json!({ "spec": { "maxDuration": "60m" } }),
        ),
        (
            "AccessDecision",
            json!({ "spec": { "decision": "Deny", "digest": null, "maxDuration": null } }),
        ),
        (
            "AccessRecord",
            json!({ "spec": { "outcome": "Denied", "links": null, "residualUntil": null, "end": { "reason": "Denied" } } }),
        ),
        (
            "AccessRecord",
            json!({ "spec": { "outcome": null, "justification": null, "requestedAt": null, "requestedOn": null } }),
        ),
        (
            "AccessNotifier",
            json!({ "spec": { "events": null, "remindAfter": "10m" } }),
        ),
        (
            "AccessNotifier",
            json!({ "spec": { "email": null, "webhook": { "urlSecretRef": { "name": "hook", "key": "url" }, "signingKeys": [{ "name": "hook", "key": "key" }] } } }),
        ),
    ]
}
