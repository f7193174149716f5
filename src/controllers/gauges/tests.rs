//! How things stand, counted from objects that a test makes known.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::cluster::SecretMetadata;
use crate::onepassword::{Accounts, OnePassword, ServiceAccountToken};
use crate::runtime::Supervisor;

struct NoAccounts;

impl Accounts for NoAccounts {
    fn connect(&self, _: ServiceAccountToken) -> Arc<dyn OnePassword> {
        panic!("nothing asks 1Password here")
    }
}

fn gauges() -> (Gauges, Arc<Cluster>) {
    let cluster = Arc::new(Cluster::out_of_touch());
    let (clock, metrics) = (Clock::system(), Arc::new(Metrics::new()));
    let tasks = Supervisor::new().tasks();
    let registry = Registry::new(Arc::new(NoAccounts), clock.clone(), metrics.clone(), tasks);
    let gauges = Gauges::new(cluster.clone(), &registry, clock, metrics);
    (gauges, cluster)
}

fn object<K: DeserializeOwned>(kind: &str, name: &str, spec: Value, status: Value) -> K {
    let object = json!({
        "apiVersion": "keyloan.dev/v1alpha1", "kind": kind,
        "metadata": {
            "namespace": "keyloan", "name": name, "uid": name, "resourceVersion": "1",
        },
        "spec": spec, "status": status,
    });
    serde_json::from_value(object).expect("an object")
}

fn grant(name: &str, integration_in: &str, status: Value) -> AccessGrant {
    let integration = json!({ "name": "prod", "namespace": integration_in });
    let item = json!({ "vault": "Infra", "item": "db password" });
    let spec = json!({ "integration": integration, "item": item });
    object("AccessGrant", name, spec, status)
}

/// A loan of an hour with one link.
fn record(uid: &str, install: &str, began: &str, end: Value, residual: Value) -> AccessRecord {
    let object_ = json!({ "namespace": "keyloan", "name": "x", "uid": uid });
    let terms = json!({
        "integration": object_, "account": "", "flow": object_, "flowGeneration": 1,
        "vault": { "id": "", "title": "" }, "item": { "id": "", "title": "" },
        "itemUpdatedAt": "2026-11-23T10:00:00Z", "recipients": [], "duration": "1h",
        "viewOnce": false, "linkLifetime": "1h", "renewal": "OnRequest",
    });
    let link = json!({
        "sequence": 1, "intentAt": began, "latestEnd": began, "issuedAt": began,
        "expiresAt": began, "outcome": "Issued",
    });
    let spec = json!({
        "grant": object_, "install": install, "requester": { "username": "alice" },
        "terms": terms, "digest": "d", "links": [link], "end": end, "residualUntil": residual,
    });
    object("AccessRecord", uid, spec, Value::Null)
}

fn integration(name: &str, spec: Value, ready: &str) -> OnePasswordIntegration {
    let mut whole = json!({ "plan": "Teams", "auth": { "serviceAccountToken": {
        "secretRef": { "name": "t" }, "expiresAt": spec["expiresAt"],
    } } });
    whole["suspend"] = json!(spec["suspend"].as_bool().unwrap_or_default());
    let condition = json!({
        "type": "Ready", "status": ready, "reason": "R", "message": "",
        "lastTransitionTime": "2026-11-23T10:00:00Z",
    });
    let status = json!({ "conditions": [condition] });
    object("OnePasswordIntegration", name, whole, status)
}

fn assert_served(page: &str, lines: &[&str]) {
    for line in lines {
        let is_there = page.lines().any(|served| served == *line);
        assert!(is_there, "{line} is not in\n{page}");
    }
}

const LONG_AGO: &str = "2025-01-01T00:00:00Z";
const IN_A_CENTURY: &str = "2126-01-01T00:00:00Z";

#[tokio::test]
async fn the_leader_counts_the_grants_of_its_integrations_by_phase() {
    let (gauges, cluster) = gauges();
    let grants = cluster.grants.cache();
    for name in ["a", "b"] {
        grants.learn(grant(name, "keyloan", json!({ "phase": "Active" })));
    }
    grants.learn(grant("c", "keyloan", Value::Null));
    grants.learn(grant("d", "of-another", json!({ "phase": "Active" })));
    let page = gauges.metrics().encode();
    assert!(
        !page.contains("keyloan_grants{"),
        "it does not lead: {page}"
    );
    gauges.lead();
    let expected = [
        "keyloan_leader 1",
        r#"keyloan_grants{phase="active"} 2"#,
        r#"keyloan_grants{phase="new"} 1"#,
        r#"keyloan_grants{phase="pending"} 0"#,
    ];
    assert_served(&gauges.metrics().encode(), &expected);
}

#[tokio::test]
async fn a_loan_is_overdue_while_it_runs_past_its_end_or_its_secret_stays() {
    let (gauges, cluster) = gauges();
    let records = cluster.records.cache();
    let ended = json!({ "reason": "Expired", "at": LONG_AGO });
    let install = "keyloan";
    records.learn(record("late", install, LONG_AGO, Value::Null, Value::Null));
    records.learn(record(
        "runs",
        install,
        IN_A_CENTURY,
        Value::Null,
        Value::Null,
    ));
    let others = record("others", "another", LONG_AGO, Value::Null, Value::Null);
    records.learn(others);
    let until = json!(IN_A_CENTURY);
    records.learn(record(
        "gone",
        install,
        LONG_AGO,
        ended.clone(),
        until.clone(),
    ));
    records.learn(record("stays", install, LONG_AGO, ended, until));
    let link = cluster.install.link("stays");
    let secret: SecretMetadata = serde_json::from_value(json!({ "metadata": {
        "namespace": link.namespace, "name": link.name, "uid": "s", "resourceVersion": "1",
    } }))
    .expect("metadata");
    cluster.secrets.learn(secret);
    gauges.lead();
    let expected = ["keyloan_loans_overdue{} 2", "keyloan_residuals_open{} 2"];
    assert_served(&gauges.metrics().encode(), &expected);
}

#[tokio::test]
async fn suspended_integrations_count_neither_as_broken_nor_by_their_token() {
    let (gauges, cluster) = gauges();
    let integrations = cluster.integrations.cache();
    let ends = |at: &str| json!({ "expiresAt": at });
    integrations.learn(integration("a", ends("2030-01-01T00:00:00Z"), "True"));
    integrations.learn(integration("b", ends("2028-01-01T00:00:00Z"), "False"));
    let suspended = json!({ "expiresAt": LONG_AGO, "suspend": true });
    integrations.learn(integration("c", suspended, "False"));
    gauges.lead();
    let expected = [
        r#"keyloan_integrations{ready="true"} 1"#,
        r#"keyloan_integrations{ready="false"} 1"#,
        "keyloan_token_expiry_timestamp_seconds{} 1830297600",
    ];
    assert_served(&gauges.metrics().encode(), &expected);
}

#[tokio::test]
async fn many_readers_cause_no_more_than_one_count_a_second() {
    let (gauges, cluster) = gauges();
    for number in 0..100 {
        let name = number.to_string();
        cluster
            .grants
            .cache()
            .learn(grant(&name, "keyloan", Value::Null));
    }
    gauges.lead();
    gauges.metrics();
    let visited = cluster.grants.visited();
    *gauges.last.lock().expect("whole") = Some(gauges.clock.stopwatch());
    gauges.metrics();
    assert_eq!(cluster.grants.visited(), visited);
}
