//! One step of a request or a loan for programs: a CloudEvent (version 1.0). The audit log and the
//! webhooks of notifiers have the same ones.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A CloudEvent in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CloudEvent {
    /// The version of CloudEvents: `1.0`.
    pub specversion: &'static str,
    /// Identifies the event: one that is sent twice has the same id.
    pub id: String,
    /// The install that says so, such as `/keyloan/prod`.
    pub source: String,
    /// The kind of the event, such as `dev.keyloan.grant.requested`.
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
    pub data: Value,
}
