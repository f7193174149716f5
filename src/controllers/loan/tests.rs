//! How many objects a pass looks at: what one person makes, however much, is no work for the passes of others.

use super::*;
use crate::api::{AccessDecision, AccessFlow, OnePasswordIntegration};
use crate::manifests::Releases;
use crate::onepassword::{Accounts, OnePassword, ServiceAccountToken};
use crate::runtime::Supervisor;
use crate::telemetry::Metrics;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

struct NoAccounts;

impl Accounts for NoAccounts {
    fn connect(&self, _: ServiceAccountToken) -> Arc<dyn OnePassword> {
        panic!("no pass asks 1Password here")
    }
}

/// An operator that knows what it is told here, and one flow by which everybody may ask.
async fn loans() -> Arc<Loans> {
    let (cluster, clock) = (Arc::new(Cluster::out_of_touch()), Clock::system());
    let metrics = Arc::new(Metrics::new());
    let tasks = Supervisor::new().tasks();
    let accounts = Arc::new(NoAccounts);
    let registry = Registry::new(accounts, clock.clone(), metrics.clone(), tasks.clone());
    let boundary = Boundary::new(
        cluster.clone(),
        None,
        "links".into(),
        &Releases::known().expect("the policies are generated"),
        clock.clone(),
        metrics,
    );
    let boundary = boundary.expect("the policies are generated");
    let events = cluster.events("loan", &tasks);
    let integration: OnePasswordIntegration = object(
        "OnePasswordIntegration",
        json!({ "namespace": "keyloan", "name": "prod", "uid": "prod" }),
        json!({ "auth": { "serviceAccountToken": { "secretRef": { "name": "t" } } }, "plan": "Teams" }),
        Value::Null,
    );
    let flow: AccessFlow = object(
        "AccessFlow",
        json!({ "namespace": "keyloan", "name": "oncall", "uid": "oncall" }),
        json!({
            "integration": "prod",
            "namespaces": { "from": "All" },
            "requesters": [{ "kind": "User", "name": "alice" }, { "kind": "User", "name": "mallory" }],
            "items": { "include": [{ "vault": "Infra" }] },
            "grant": { "maxDuration": "1h" },
            "approval": { "mode": "None" },
        }),
        Value::Null,
    );
    cluster.integrations.cache().learn(integration);
    cluster.flows.cache().learn(flow);
    Loans::new(cluster, Arc::new(registry), boundary, clock, events, tasks)
}

fn object<K: DeserializeOwned>(kind: &str, mut metadata: Value, spec: Value, status: Value) -> K {
    metadata["resourceVersion"] = json!(if status.is_null() { "1" } else { "2" });
    let object = json!({
        "apiVersion": "keyloan.dev/v1alpha1", "kind": kind,
        "metadata": metadata, "spec": spec, "status": status,
    });
    serde_json::from_value(object).expect("an object")
}

/// A request of this person, the `number`th of the day.
fn request(who: &str, number: usize, status: Value) -> AccessGrant {
    let name = format!("{who}-{number:05}");
    let (minute, second) = (number / 60 % 60, number % 60);
    let made = format!("2026-11-23T{:02}:{minute:02}:{second:02}Z", number / 3600);
    object(
        "AccessGrant",
        json!({ "namespace": "team-a", "name": name, "uid": name, "creationTimestamp": made }),
        json!({
            "integration": { "namespace": "keyloan", "name": "prod" },
            "item": { "vault": "Infra", "item": "db password" },
            "requester": { "username": who },
        }),
        status,
    )
}

fn said(phase: &str, reason: &str) -> Value {
    json!({
        "phase": phase,
        "conditions": [{
            "type": "Accepted", "status": "False", "reason": reason, "message": "of some length",
            "lastTransitionTime": "2126-11-23T10:00:00Z",
        }],
    })
}

/// A decision of this person on alice's request.
fn decision(who: &str, what: &str, number: usize) -> AccessDecision {
    let name = format!("{who}-{what}-{number:05}").to_lowercase();
    let made = format!("2026-11-23T{:02}:00:00Z", number % 24);
    object(
        "AccessDecision",
        json!({ "namespace": "team-a", "name": name, "uid": name, "creationTimestamp": made }),
        json!({
            "grant": "alice-00000", "grantUid": "alice-00000", "digest": "sha256:old", "decision": what,
            "approver": { "username": who },
        }),
        Value::Null,
    )
}

impl Loans {
    /// What is seen of a request, and how many objects were looked at for that.
    async fn watched(&self, grant: &AccessGrant) -> (Observed, usize) {
        let before = self.visited();
        let seen = self.observe(&LoanKey::of_grant(grant)).await;
        (seen.expect("all is known"), self.visited() - before)
    }

    fn visited(&self) -> usize {
        let cluster = &self.cluster;
        cluster.grants.visited()
            + cluster.decisions.visited()
            + cluster.records.visited()
            + cluster.flows.visited()
            + cluster.integrations.visited()
    }
}

#[tokio::test]
async fn what_one_person_makes_is_no_work_for_the_passes_of_others() {
    let loans = loans().await;
    let (grants, decisions) = (
        loans.cluster.grants.cache(),
        loans.cluster.decisions.cache(),
    );
    let alices = request("alice", 0, Value::Null);
    grants.learn(alices.clone());
    decisions.learn(decision("bob", "Deny", 0));
    for number in 0..100 {
        grants.learn(request("mallory", number, said("Pending", "LimitReached")));
        decisions.learn(decision("mallory", "Approve", number));
    }
    let (_, with_few) = loans.watched(&alices).await;
    for number in 100..8_000 {
        grants.learn(request("mallory", number, said("Pending", "LimitReached")));
    }
    for number in 100..10_000 {
        decisions.learn(decision("mallory", "Approve", number));
    }
    let (seen, with_many) = loans.watched(&alices).await;
    assert_eq!(with_many, with_few);
    assert!(with_few < 30, "{with_few}");
    let by = |who: &str| {
        let mut decisions = seen.decisions.iter().map(|d| d.spec.approver.as_ref());
        decisions.any(|by| by.is_some_and(|by| by.username == who))
    };
    assert!(by("bob"), "what he says is heard among all of that");
    assert!(
        by("mallory"),
        "and so is she, for the status to say why she counts for nothing"
    );
}

#[tokio::test]
async fn the_line_is_counted_as_far_as_it_matters_and_no_further() {
    let loans = loans().await;
    let grants = loans.cluster.grants.cache();
    for number in 0..8_000 {
        grants.learn(request("mallory", number, Value::Null));
    }
    let last = request("mallory", 7_999, Value::Null);
    let (seen, looked_at) = loans.watched(&last).await;
    assert_eq!(seen.ahead.new, 50);
    assert!(looked_at < 100, "{looked_at}");
    for number in 0..50 {
        grants.learn(request("mallory", number, said("Pending", "LimitReached")));
    }
    let (seen, _) = loans.watched(&request("mallory", 20, Value::Null)).await;
    assert_eq!(
        (seen.ahead.in_line, seen.ahead.new),
        (20, 0),
        "those before it only"
    );
}

#[tokio::test]
async fn of_a_request_that_was_turned_away_its_uid_is_kept_and_nothing_looks_at_it() {
    let loans = loans().await;
    let grants = loans.cluster.grants.cache();
    let mut alices = request("alice", 0, Value::Null);
    grants.learn(alices.clone());
    let (_, alone) = loans.watched(&alices).await;
    for number in 0..1_000 {
        let mut grant = request("alice", number + 1, said("Failed", "TooManyRequests"));
        grant.spec.justification = Some("x".repeat(1_000));
        grants.learn(grant);
    }
    let kept = grants
        .get(&Key::new("team-a", "alice-00001"))
        .expect("there");
    assert_eq!(kept.uid().as_deref(), Some("alice-00001"));
    assert_eq!(kept.spec.justification, None);
    assert!(serde_json::to_string(&*kept).expect("JSON").len() < 700);
    let here = crate::cluster::Mark::Namespace("team-a".into());
    assert_eq!(loans.cluster.grants.having(&here).len(), 1);
    alices.metadata.creation_timestamp = None;
    let (_, among_them) = loans.watched(&alices).await;
    assert_eq!(among_them, alone);
    // Its pass looks up nothing but itself.
    let before = loans.visited();
    let outcome = loans.look(&LoanKey::of_grant(&kept)).await;
    assert!(matches!(outcome, Ok(Outcome::Waiting(Some(_)))));
    assert_eq!(loans.visited() - before, 1);
}
