//! Sample grants in each phase, decisions and people, for tests.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{
    AccessDecision, AccessGrant, AccessRecordSpec, Condition, CountedDecision, Decision, Identity,
    NoticeEvent, PrincipalName, Time,
};
use crate::desk::notice::{Audience, Notice};
use crate::plan::timeline::Subject;

pub fn present() -> Timestamp {
    "2026-11-24T11:00:00Z".parse().unwrap()
}

pub fn alice() -> Identity {
    person("alice@example.com", &["engineering"])
}

/// Is in both approver groups.
pub fn bob() -> Identity {
    person("bob@example.com", &["platform-owners", "security"])
}

/// Is in no group.
pub fn erin() -> Identity {
    person("erin@example.com", &[])
}

fn person(username: &str, groups: &[&str]) -> Identity {
    Identity {
        username: username.into(),
        groups: groups.iter().map(|g| PrincipalName((*g).into())).collect(),
        email: None,
    }
}

/// Just created: the operator has not looked at it.
pub fn new() -> AccessGrant {
    grant("alice-new", json!({ "observedGeneration": -1 }))
}

/// Waits for the approval of two groups.
pub fn waiting() -> AccessGrant {
    let approval = json!({
        "mode": "AllOf",
        "groups": [
            { "name": "platform", "required": 1, "approvers": [{ "kind": "Group", "name": "platform-owners" }] },
            { "name": "security", "required": 2, "approvers": [
                { "kind": "Group", "name": "security" }, { "kind": "User", "name": "carol@example.com" },
            ] },
        ],
        "timeout": "24h",
        "reason": "Optional",
    });
    let mut status = status("Pending", terms(Some(approval)));
    status["waitingFor"] = json!(
        "1 approval from group \"platform\" (any member of platform-owners), and 2 approvals from group \"security\" (any member of security or carol@example.com), due 2026-11-25T10:48:00Z"
    );
    status["consideredFlows"] =
        json!([{ "name": "nightly", "reason": "it lends for at most 1h, and 4h are requested" }]);
    let mut grant = grant("alice-db", status);
    say(
        &mut grant,
        "Accepted",
        true,
        "FlowChosen",
        "flow \"oncall\" covers the request",
    );
    say(
        &mut grant,
        "Approved",
        false,
        "NotApproved",
        "1 approval from group \"platform\" (any member of platform-owners), and 2 approvals from group \"security\" (any member of security or carol@example.com), due 2026-11-25T10:48:00Z",
    );
    grant
}

/// Waits for one more approval of one group; one decision had no effect.
pub fn half_approved() -> AccessGrant {
    let mut grant = waiting();
    let status = grant.status.as_mut().unwrap();
    status.waiting_for = Some(
        "1 more approval from group \"security\" (any member of security), due 2026-11-25T10:48:00Z".into(),
    );
    let mut by_dave = counted("dave@example.com", Decision::Approve);
    by_dave.group = Some("platform".into());
    by_dave.max_duration = Some(crate::api::Span("2h".into()));
    let by_carol = CountedDecision {
        reason: Some("she is on call".into()),
        ..counted("carol@example.com", Decision::Approve)
    };
    status.decisions = vec![by_dave, by_carol];
    let ignored = json!([{
        "name": "alice-db-approve-9", "user": "alice@example.com",
        "reason": "requesters cannot approve their own requests",
    }]);
    status.ignored_decisions = serde_json::from_value(ignored).unwrap();
    grant
}

/// A running loan with its first link.
pub fn active() -> AccessGrant {
    let mut status = status("Active", terms(None));
    status["grantedAt"] = json!("2026-11-24T10:30:00Z");
    status["expiresAt"] = json!("2026-11-24T14:30:00Z");
    status["record"] = json!("2b0c");
    status["link"] = json!({
        "secretRef": { "namespace": "keyloan-system-links", "name": "keyloan-link-2b0c" }, "sequence": 1,
        "issuedAt": "2026-11-24T10:30:00Z", "expiresAt": "2026-11-24T11:30:00Z",
    });
    status["accessDetails"] = json!("psql -h db.example.com");
    let mut grant = grant("alice-db", status);
    say(
        &mut grant,
        "Active",
        true,
        "LinkIssued",
        "the link opens for its recipients",
    );
    grant
}

/// The same loan as its record shows it, after a first link that was lost.
pub fn lent() -> AccessRecordSpec {
    let grant = serde_json::to_value(active()).unwrap();
    let status = &grant["status"];
    let record = json!({
        "grant": { "namespace": "team-a", "name": "alice-db", "uid": "2b0c" },
        "requester": { "username": "alice@example.com", "email": "alice@example.com" },
        "justification": "INC-1234: replica lag",
        "requestedAt": "2026-11-24T10:29:00Z",
        "outcome": "Lent", "terms": status["terms"], "digest": status["digest"],
        "links": [
            { "sequence": 1, "intentAt": "2026-11-24T10:30:00Z", "latestEnd": "2026-11-24T11:31:00Z", "outcome": "Lost" },
            { "sequence": 2, "intentAt": "2026-11-24T10:30:02Z", "latestEnd": "2026-11-24T11:31:02Z",
              "issuedAt": "2026-11-24T10:30:03Z", "expiresAt": "2026-11-24T11:30:03Z", "outcome": "Issued" },
        ],
        "grantedAt": "2026-11-24T10:30:03Z", "expiresAt": "2026-11-24T14:30:03Z",
    });
    serde_json::from_value(record).unwrap()
}

/// Over, while a link may still open.
pub fn ending() -> AccessGrant {
    let mut grant = active();
    let status = grant.status.as_mut().unwrap();
    status.phase = Some(crate::api::Phase::Ending);
    status.link = None;
    status.ended_at = Some(time("2026-11-24T10:50:00Z"));
    status.residual_until = Some(time("2026-11-24T11:30:00Z"));
    say(
        &mut grant,
        "Active",
        false,
        "Revoked",
        "the loan was revoked",
    );
    say(
        &mut grant,
        "Ended",
        false,
        "LinkMayStillOpen",
        "the loan was revoked; an issued link may still open",
    );
    grant
}

/// Waits for approval, after earlier requests were denied.
pub fn waiting_again() -> AccessGrant {
    let mut grant = waiting();
    let earlier = json!([
        { "at": "2026-11-24T09:00:00Z", "outcome": "Denied" },
        { "at": "2026-11-20T11:00:00Z", "outcome": "Denied" },
    ]);
    let status = grant.status.as_mut().unwrap();
    status.earlier_denials = serde_json::from_value(earlier).unwrap();
    grant
}

/// Denied by an approver.
pub fn denied() -> AccessGrant {
    let mut grant = waiting();
    grant.metadata.name = Some("alice-root".into());
    let status = grant.status.as_mut().unwrap();
    status.phase = Some(crate::api::Phase::Denied);
    status.waiting_for = None;
    say(
        &mut grant,
        "Stalled",
        true,
        "Denied",
        "bob@example.com said no: use the replica",
    );
    grant
}

/// One grant in each phase.
pub fn all() -> Vec<AccessGrant> {
    let mut ended = ending();
    ended.metadata.name = Some("alice-old".into());
    vec![active(), waiting_for_bob(), denied(), ended, new()]
}

/// A denied request with decisions, whose texts try to mislead the reader.
pub fn hostile() -> (AccessGrant, Vec<AccessDecision>) {
    let forged = format!(
        "lag{:200}Duration       1h{:100}\n\nDecisions\n  USER  DECISION\n\u{1b}[1A\rRequester  bob@example.com",
        "", ""
    );
    let mut grant = half_approved();
    grant.spec.justification = Some(forged.clone());
    let status = grant.status.as_mut().unwrap();
    status.phase = Some(crate::api::Phase::Denied);
    status.terms.as_mut().unwrap().item.title = format!("db\nalice-db  Active  {}", "x".repeat(99));
    status.decisions[1].reason = Some(forged.clone());
    status.ignored_decisions[0].reason = forged.clone();
    let message = format!("mallory@example.com said no: {forged}");
    say(&mut grant, "Stalled", true, "Denied", &message);
    let mut by_bob = approval_by(bob());
    by_bob.spec.approver.as_mut().unwrap().username = forged;
    (grant, vec![by_bob])
}

fn waiting_for_bob() -> AccessGrant {
    let mut grant = waiting();
    grant.metadata.name = Some("alice-waits".into());
    grant
}

pub fn counted(user: &str, decision: Decision) -> CountedDecision {
    CountedDecision {
        uid: Some("7d41".into()),
        name: Some("alice-db-approve-7".into()),
        user: user.into(),
        decision,
        group: Some("security".into()),
        at: time("2026-11-24T10:55:00Z"),
        reason: None,
        max_duration: None,
    }
}

/// An approval of the waiting request, which the operator has not counted yet.
pub fn approval_by(who: Identity) -> AccessDecision {
    let decision = json!({
        "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessDecision",
        "metadata": { "name": "alice-db-approve-7", "namespace": "team-a", "creationTimestamp": "2026-11-24T10:58:00Z" },
        "spec": { "grant": "alice-db", "grantUid": "2b0c", "digest": "sha256:d1", "decision": "Approve", "approver": who },
    });
    serde_json::from_value(decision).unwrap()
}

/// Sets a condition.
pub fn say(grant: &mut AccessGrant, type_: &str, holds: bool, reason: &str, message: &str) {
    let conditions = &mut grant.status.as_mut().unwrap().conditions;
    conditions.retain(|c| c.type_ != type_);
    conditions.push(Condition {
        type_: type_.into(),
        status: if holds { "True" } else { "False" }.into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: Some(1),
        last_transition_time: time("2026-11-24T10:50:00Z"),
    });
}

fn grant(name: &str, status: Value) -> AccessGrant {
    let grant = json!({
        "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant",
        "metadata": { "name": name, "namespace": "team-a", "uid": "2b0c", "generation": 1, "creationTimestamp": "2026-11-24T10:48:00Z" },
        "spec": {
            "integration": { "name": "prod", "namespace": "keyloan" },
            "item": { "vault": "Infra", "item": "db password" },
            "duration": "4h",
            "justification": "INC-1234: replica lag",
            "requester": alice(),
        },
        "status": status,
    });
    serde_json::from_value(grant).unwrap()
}

fn status(phase: &str, terms: Value) -> Value {
    json!({
        "observedGeneration": 1, "phase": phase, "conditions": [], "flow": "oncall",
        "terms": terms, "digest": "sha256:d1",
    })
}

fn terms(approval: Option<Value>) -> Value {
    let object = |name: &str| json!({ "namespace": "keyloan", "name": name, "uid": "u" });
    let mut terms = json!({
        "integration": object("prod"), "account": "lender@example.com", "flow": object("oncall"), "flowGeneration": 1,
        "vault": { "id": "v", "title": "Infra" }, "item": { "id": "i", "title": "db password" },
        "itemUpdatedAt": "2026-11-01T00:00:00Z", "recipients": ["alice@example.com"], "duration": "4h",
        "viewOnce": false, "linkLifetime": "1h", "renewal": "OnRequest",
        "owners": [{ "kind": "Group", "name": "platform-owners" }],
    });
    if let Some(approval) = approval {
        terms["approval"] = approval;
    }
    terms
}

fn time(text: &str) -> Time {
    Time(text.parse().unwrap())
}

/// What the approvers of a request read.
pub fn requested() -> Notice {
    let grant = waiting();
    let subject = Subject {
        grant: Some(&grant),
        record: None,
    };
    let page = "https://keyloan.example.com/requests/{namespace}/{name}";
    told(
        &subject,
        NoticeEvent::Requested,
        Audience::Approvers,
        Some(page),
    )
}

/// What the person who asked reads of a loan that has begun.
pub fn issued() -> Notice {
    let record = lent();
    let subject = Subject {
        grant: None,
        record: Some(&record),
    };
    told(&subject, NoticeEvent::LinkIssued, Audience::Requester, None)
}

fn told(
    subject: &Subject<'_>,
    event: NoticeEvent,
    audience: Audience,
    page: Option<&str>,
) -> Notice {
    let steps = subject.steps(None, present());
    let step = steps.iter().find(|step| step.event == event);
    Notice::of(subject, step.expect("the step"), audience, page)
}
