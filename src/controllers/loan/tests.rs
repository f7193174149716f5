//! How many objects a pass looks at: objects of one person, however many, cause no work for other
//! people's passes.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::waiting::{Line, WaitingRequests};
use super::{LoanKey, Loans};
use crate::api::{AccessDecision, AccessFlow, AccessGrant, AccessRecord, OnePasswordIntegration};
use crate::cluster::{Cluster, Key, Mark, SecretMetadata, rank_of};
use crate::controllers::boundary::Boundary;
use crate::controllers::loan_events::LoanEvents;
use crate::controllers::registry::Registry;
use crate::manifests::Releases;
use crate::onepassword::{Accounts, OnePassword, ServiceAccountToken};
use crate::plan::observed::{LinkSeen, Observed};
use crate::runtime::{Class, Clock, Outcome, Supervisor, Urgency, WorkQueue};
use crate::telemetry::Metrics;
use kube::ResourceExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

struct NoAccounts;

impl Accounts for NoAccounts {
    fn connect(&self, _: ServiceAccountToken) -> Arc<dyn OnePassword> {
        panic!("no pass asks 1Password here")
    }
}

/// An operator that knows only what it is told here, and one flow that everyone may use.
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
    let events = LoanEvents::default();
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
    /// The observed state of a request, and how many objects were looked at for it.
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
async fn who_is_last_of_thousands_in_line_is_no_more_work_than_who_is_first() {
    let loans = loans().await;
    let grants = loans.cluster.grants.cache();
    for number in 0..8_000 {
        grants.learn(request("mallory", number, Value::Null));
    }
    let last = request("mallory", 7_999, Value::Null);
    let (seen, looked_at) = loans.watched(&last).await;
    assert_eq!(seen.ahead.new, 7_999);
    assert!(looked_at < 30, "{looked_at}");
    for number in 0..50 {
        grants.learn(request("mallory", number, said("Pending", "LimitReached")));
    }
    let (seen, looked_at) = loans.watched(&request("mallory", 20, Value::Null)).await;
    assert!(looked_at < 50, "{looked_at}");
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
    let here = Mark::Namespace("team-a".into());
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

/// The status of a request that a flow covers, or would cover.
fn agreed(phase: &str, reason: &str) -> Value {
    let (by, with) = (
        |uid: &str| json!({ "namespace": "keyloan", "name": uid, "uid": uid }),
        |id: &str| json!({ "id": id, "title": id }),
    );
    let mut status = said(phase, reason);
    status["terms"] = json!({
        "integration": by("prod"), "account": "a", "flow": by("oncall"), "flowGeneration": 1,
        "vault": with("v"), "item": with("i"), "itemUpdatedAt": "2026-11-23T10:00:00Z",
        "recipients": [], "duration": "1h", "viewOnce": false, "linkLifetime": "1h", "renewal": "Never",
    });
    status
}

/// Times are in whole seconds: the uid decides which of two requests of one second came first,
/// unless one of them has its place already.
#[tokio::test]
async fn who_has_a_place_is_not_displaced_by_another_request_of_the_same_second() {
    let loans = loans().await;
    let at_once = |uid: &str, number, status| {
        let mut grant = request("alice", number, status);
        (grant.metadata.name, grant.metadata.uid) = (Some(uid.into()), Some(uid.into()));
        grant
    };
    let mut in_line = agreed("Pending", "LimitReached");
    in_line["consideredFlows"] = no_place_by(&["oncall"])["consideredFlows"].take();
    let in_order = [
        // The state after a restart, until the vaults are listed.
        at_once("y", 0, agreed("Pending", "IntegrationNotReady")),
        at_once("z", 0, agreed("Pending", "FlowChosen")),
        at_once("a", 0, Value::Null),
        at_once("b", 0, in_line),
        at_once("0", 1, Value::Null),
    ];
    for grant in &in_order {
        loans.cluster.grants.cache().learn(grant.clone());
        let key = LoanKey::of_grant(grant);
        loans.waiting.note(&key, grant, grant.status.as_ref());
    }
    let mut stand = Vec::new();
    for grant in &in_order {
        let (seen, _) = loans.watched(grant).await;
        let pending = seen.usage.get("oncall").map_or(0, |usage| usage.pending);
        stand.push((pending, seen.ahead.in_line, seen.ahead.new));
    }
    let expected = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (2, 0, 1), (3, 1, 1)];
    assert_eq!(stand, expected, "pending, in line and new before each");
}

/// Otherwise the work would grow quadratically with their number.
#[tokio::test]
async fn a_new_request_has_none_of_its_requesters_others_looked_at() {
    let loans = loans().await;
    let passes = WorkQueue::new("loan", loans.clock.clone(), Arc::new(Metrics::new()));
    loans.subscribe(&passes);
    let looked_at = Arc::new(Mutex::new(Vec::new()));
    let looks = looked_at.clone();
    let running = passes.run(
        HashSet::new,
        |_| Class::of(Urgency::Request),
        move |key: LoanKey| {
            looks.lock().expect("fine").push(key);
            std::future::ready(Outcome::Waiting(None))
        },
    );
    let _running = tokio::spawn(running);
    // Waits until this many were looked at, and lets every other scheduled pass run.
    let until = async |count: usize| {
        let is_there = async {
            while looked_at.lock().expect("fine").len() < count {
                tokio::task::yield_now().await;
            }
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
        };
        let within = std::time::Duration::from_secs(30);
        tokio::time::timeout(within, is_there).await.ok();
        std::mem::take(&mut *looked_at.lock().expect("fine")).len()
    };
    // WorkQueue that are scheduled before the queue runs are lost.
    assert_eq!(until(0).await, 0);
    for number in 0..50 {
        let waits = request("mallory", number, no_place_by(&["oncall"]));
        let key = LoanKey::of_grant(&waits);
        loans.waiting.note(&key, &waits, waits.status.as_ref());
        loans.cluster.grants.cache().learn(waits);
    }
    assert_eq!(until(50).await, 50);
    let mut other = request("mallory", 50, Value::Null);
    loans.cluster.grants.cache().learn(other.clone());
    assert_eq!(until(1).await, 1);
    // An ended request leaves its place to the first of them.
    other.status = serde_json::from_value(agreed("Denied", "FlowChosen")).expect("a status");
    other.metadata.resource_version = Some("3".into());
    loans.cluster.grants.cache().learn(other);
    assert_eq!(until(3).await, 3);
}

/// The status of a request that has no place in these flows.
fn no_place_by(flows: &[&str]) -> Value {
    let mut status = said("Pending", "LimitReached");
    let flows = flows.iter().map(|flow| {
        json!({ "name": flow, "reason": "LimitReached: you already have 10 requests waiting" })
    });
    status["consideredFlows"] = flows.collect();
    status
}

#[test]
fn a_place_is_offered_to_the_first_in_line_for_it_and_then_to_the_next() {
    let waiting = WaitingRequests::default();
    let waits = |number, flows: &[&str]| {
        let grant = request("mallory", number, no_place_by(flows));
        let key = LoanKey::of_grant(&grant);
        let next = waiting.note(&key, &grant, grant.status.as_ref());
        (key, grant, next)
    };
    let names = |keys: std::collections::BTreeSet<LoanKey>| -> Vec<String> {
        keys.into_iter().map(|key| key.uid.clone()).collect()
    };
    let by = |flow: &str| names(waiting.first("mallory", Some(("keyloan", flow))));
    for number in [3, 1, 2, 5] {
        assert_eq!(names(waits(number, &["oncall"]).2), [""; 0]);
    }
    let (key, grant, _) = waits(0, &["oncall", "night"]);
    let (other, ..) = waits(4, &["night"]);
    assert_eq!(by("oncall"), ["mallory-00000", "mallory-00001"]);
    assert_eq!(by("night"), ["mallory-00000", "mallory-00004"]);
    assert_eq!(by("day"), [""; 0]);
    let before = |number, flow: &str, most| {
        let rank = rank_of(&request("mallory", number, Value::Null));
        waiting.before(&Line::of("mallory", "keyloan", Some(flow)), &rank, most)
    };
    assert_eq!(
        [0, 2, 5, 6].map(|number| before(number, "oncall", 9)),
        [0, 2, 4, 5]
    );
    assert_eq!(before(6, "night", 9), 2);
    assert_eq!(before(6, "day", 9), 0);
    assert_eq!(before(6, "oncall", 3), 3, "no more than make a difference");
    assert_eq!(waiting.first("alice", None), Default::default());
    assert_eq!(names(waiting.first("mallory", None)).len(), 3);
    // It gets a place: others may get one, too.
    let next = waiting.note(&key, &grant, None);
    let expected = ["mallory-00001", "mallory-00002", "mallory-00004"];
    assert_eq!(names(next), expected);
    assert_eq!(names(waiting.forget(&other)), [""; 0]);
    assert_eq!(by("night"), [""; 0]);
    // If more flows were considered than are shown, any of them may have been full.
    let many: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    waits(9, &many);
    assert_eq!(by("whichever"), ["mallory-00009"]);
    let rank = rank_of(&request("mallory", 10, Value::Null));
    let line = Line::of("mallory", "keyloan", Some("whichever"));
    assert_eq!(
        waiting.before(&line, &rank, 9),
        0,
        "it may want another one"
    );
}

/// The record of alice's first request in this namespace, by terms with an integration in that one.
fn record(namespace: &str, integration_in: &str, labels: Value, end: Value) -> AccessRecord {
    let mut terms = agreed("Active", "Active")["terms"].take();
    terms["integration"]["namespace"] = json!(integration_in);
    let at = "2026-11-23T10:00:00Z";
    let link = json!({
        "sequence": 1, "intentAt": at, "latestEnd": at, "issuedAt": at, "expiresAt": at,
        "outcome": "Issued",
    });
    let name = "alice-00000";
    let grant = json!({ "namespace": "team-a", "name": name, "uid": name });
    let uid = format!("record-in-{namespace}");
    object(
        "AccessRecord",
        json!({ "namespace": namespace, "name": name, "uid": uid, "labels": labels }),
        json!({
            "grant": grant, "requester": { "username": "alice" }, "terms": terms, "digest": "d",
            "links": [link], "end": end,
        }),
        Value::Null,
    )
}

#[tokio::test]
async fn a_record_outside_its_ledger_is_ignored() {
    for (integration_in, counts) in [("platform-b", false), ("keyloan", true)] {
        let loans = loans().await;
        let record = record("keyloan", integration_in, Value::Null, Value::Null);
        let key = LoanKey::of_record(&record);
        loans.cluster.records.cache().learn(record);
        let of_it = Mark::GrantUid(key.uid.clone());
        let found = loans.cluster.records.having(&of_it);
        assert_eq!(found.len(), usize::from(counts), "{integration_in}");
        if !counts {
            assert!(matches!(loans.look(&key).await, Ok(Outcome::Gone)));
        }
    }
}

/// Who may restore records in one served namespace may write any terms into one: it ends neither
/// the request nor the link of a loan in another.
#[tokio::test]
async fn a_restored_record_touches_no_loan_in_another_ledger() {
    let loans = loans().await;
    let cluster = &loans.cluster;
    let grant = request("alice", 0, agreed("Active", "Active"));
    let (own, key) = (
        record("keyloan", "keyloan", Value::Null, Value::Null),
        LoanKey::of_grant(&grant),
    );
    // A record whose Secret is unknown might be history already.
    let link = cluster.install.link(&key.uid);
    let secret: SecretMetadata = serde_json::from_value(json!({ "metadata": {
        "namespace": link.namespace, "name": link.name, "uid": "s", "resourceVersion": "1",
        "labels": {
            "keyloan.dev/secret": "link", "keyloan.dev/install": "keyloan",
            "keyloan.dev/grant-uid": key.uid,
        },
        "annotations": { "keyloan.dev/sequence": "1" },
    } }))
    .expect("metadata");
    cluster.secrets.learn(secret);
    cluster.grants.cache().learn(grant);
    cluster.records.cache().learn(own);
    let restored = record(
        "platform-b",
        "platform-b",
        json!({ "keyloan.dev/restored": "nightly" }),
        json!({ "reason": "Restored", "at": "2026-11-23T11:00:00Z" }),
    );
    let of_others = LoanKey::of_record(&restored);
    cluster.records.cache().learn(restored);

    let seen = loans.observe(&of_others).await.expect("all is known");
    assert!(seen.record.is_some());
    assert_eq!((seen.grant, seen.link), (None, LinkSeen::Foreign));
    let seen = loans.observe(&key).await.expect("all is known");
    assert!(seen.grant.is_some());
    assert!(matches!(seen.link, LinkSeen::Present { sequence: 1, .. }));
}
