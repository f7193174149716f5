//! One step of a request or a loan for programs: a CloudEvent (version 1.0), for the audit log and the
//! webhooks of notifiers.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{
    AccessRecordSpec, CountedDecision, Email, EndRecord, IgnoredDecision, LinkOutcome, NoticeEvent,
    ObjectIdentity, Resolved, Time,
};
use crate::plan::record::is_of_a_loan;
use crate::plan::timeline::{Step, Subject};

/// The version of the schema of `data`.
pub const SCHEMA: &str = "urn:keyloan:event:v1";

/// A CloudEvent in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CloudEvent {
    /// The version of CloudEvents: `1.0`.
    pub specversion: &'static str,
    /// Identifies the event: one that is sent twice has the same id.
    pub id: String,
    /// The install that says so, such as `/keyloan/keyloan-system.keyloan`.
    pub source: String,
    /// The kind of the event, such as `dev.keyloan.link-issued`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The object, such as `team-a/alice-db`.
    pub subject: String,
    /// The time of the step.
    pub time: Timestamp,
    /// The form of `data`: `application/json`.
    pub datacontenttype: &'static str,
    /// The version of the schema of `data`.
    pub dataschema: &'static str,
    /// The ids and facts.
    pub data: Data,
}

/// The ids and facts of an event; the absent ones do not apply, or are not known yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// The grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<ObjectIdentity>,
    /// The record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Place>,
    /// The integration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration: Option<Place>,
    /// The flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<Place>,
    /// The vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault: Option<Resolved>,
    /// The item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<Resolved>,
    /// The requester.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<Person>,
    /// The addresses that can open the links.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<Email>,
    /// The agreed duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The requester's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// The time of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    /// The start of the loan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Time>,
    /// The planned end of the loan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// The decision that the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<CountedDecision>,
    /// The decision without effect that the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored_decision: Option<IgnoredDecision>,
    /// The link that the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// How and when the loan or the request ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<EndRecord>,
    /// The time until which a link may still open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual_until: Option<Timestamp>,
    /// The reason, as a condition has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An object by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A person, without their groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The username.
    pub username: String,
    /// The e-mail address by which the cluster knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
}

/// A link, without what opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The number of the link within the loan.
    pub sequence: u32,
    /// When it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Time>,
    /// When it ends or, for a lost one, the latest time until which it may open.
    pub expires_at: Time,
    /// What became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<LinkOutcome>,
}

impl CloudEvent {
    /// An event of this install.
    pub fn new(install: &str, id: String, kind: &str, time: Timestamp, data: Data) -> Self {
        let subject = match (&data.grant, &data.integration) {
            (Some(grant), _) => format!("{}/{}", grant.namespace, grant.name),
            (None, Some(integration)) => {
                format!("{}/{}", integration.namespace, integration.name)
            }
            (None, None) => install.to_owned(),
        };
        Self {
            specversion: "1.0",
            id,
            source: format!("/keyloan/{install}"),
            kind: format!("dev.keyloan.{kind}"),
            subject,
            time,
            datacontenttype: "application/json",
            dataschema: SCHEMA,
            data,
        }
    }

    /// The event of a step.
    pub fn of_step(install: &str, subject: &Subject<'_>, step: &Step<'_>) -> Self {
        let link = step.link.map(|link| Link {
            sequence: link.sequence,
            issued_at: link.issued_at.clone(),
            expires_at: link.expires_at.clone().unwrap_or(link.latest_end.clone()),
            outcome: link.outcome,
        });
        let (reason, message) = reason_of(subject, step.event);
        let data = Data {
            decision: step.decision.cloned(),
            link,
            reason,
            message,
            ..Data::of(subject)
        };
        Self::new(install, step.id.clone(), kind_of(step.event), step.at, data)
    }
}

impl Data {
    /// The ids and facts of a request or a loan.
    pub fn of(subject: &Subject<'_>) -> Self {
        let terms = subject.terms();
        let grant = subject.identity();
        let place = |object: &ObjectIdentity| Place {
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        };
        let record = subject.record.map(|record| Place {
            namespace: record.terms.integration.namespace.clone(),
            name: grant.uid.clone(),
        });
        let loan = subject.record.filter(|record| is_of_a_loan(record));
        let of_loan =
            |time: fn(&AccessRecordSpec) -> &Option<Time>| loan.and_then(|l| time(l).clone());
        Self {
            record,
            grant: Some(grant),
            integration: terms.map(|terms| place(&terms.integration)),
            flow: terms.map(|terms| place(&terms.flow)),
            vault: terms.map(|terms| terms.vault.clone()),
            item: terms.map(|terms| terms.item.clone()),
            requester: subject.requester().map(|by| Person {
                username: by.username.clone(),
                email: by.email.clone(),
            }),
            recipients: terms.map_or_else(Vec::new, |terms| terms.recipients.clone()),
            duration: terms.map(|terms| terms.duration.0.clone()),
            justification: subject.justification().map(ToOwned::to_owned),
            requested_at: subject.requested_at(),
            granted_at: of_loan(|loan| &loan.granted_at),
            expires_at: of_loan(|loan| &loan.expires_at),
            end: subject.end().cloned(),
            residual_until: subject.residual_until(),
            ..Self::default()
        }
    }
}

/// The reason of a request that was not granted, as its condition says it.
fn reason_of(subject: &Subject<'_>, event: NoticeEvent) -> (Option<String>, Option<String>) {
    let told = matches!(
        event,
        NoticeEvent::Denied | NoticeEvent::TakenBack | NoticeEvent::Lapsed | NoticeEvent::Failed
    );
    let stalled = subject.why_not().filter(|_| told);
    (
        stalled.map(|c| c.reason.clone()),
        stalled.map(|c| c.message.clone()),
    )
}

/// The event's name in the type of a CloudEvent.
fn kind_of(event: NoticeEvent) -> &'static str {
    match event {
        NoticeEvent::Requested => "requested",
        NoticeEvent::Reminder => "reminder",
        NoticeEvent::Decided => "decided",
        NoticeEvent::Approved => "approved",
        NoticeEvent::Denied => "denied",
        NoticeEvent::TakenBack => "taken-back",
        NoticeEvent::Lapsed => "lapsed",
        NoticeEvent::Failed => "failed",
        NoticeEvent::LinkIssued => "link-issued",
        NoticeEvent::LinkRenewed => "link-renewed",
        NoticeEvent::LinkLost => "link-lost",
        NoticeEvent::EndsSoon => "ends-soon",
        NoticeEvent::Ended => "ended",
        NoticeEvent::LinksOver => "links-over",
    }
}
