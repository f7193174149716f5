//! The objects that a check reads, with the fields that it needs. Unknown fields do not matter.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The labels of a record that was restored from a backup: docs/backup-upgrade.md.
const RESTORED: [&str; 2] = ["velero.io/restore-name", "keyloan.dev/restored"];

/// The metadata of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) creation_timestamp: Option<Timestamp>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// An AccessRecord.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    pub(crate) metadata: Meta,
    pub(crate) spec: RecordSpec,
    /// The spec as it is written, for comparisons.
    #[serde(skip)]
    pub(crate) written: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordSpec {
    pub grant: ObjectRef,
    pub requester: Requester,
    #[serde(default)]
    pub outcome: Option<String>,
    pub terms: Terms,
    #[serde(default)]
    pub decisions: Vec<Decision>,
    #[serde(default)]
    pub links: Vec<Link>,
    #[serde(default)]
    pub end: Option<End>,
    #[serde(default)]
    pub residual_until: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ObjectRef {
    pub uid: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Requester {
    pub username: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Terms {
    pub vault: Resolved,
    pub item: Resolved,
    pub recipients: Vec<String>,
    pub duration: String,
    pub view_once: bool,
    pub link_lifetime: String,
    pub renewal: String,
    #[serde(default)]
    pub approval: Option<Approval>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Resolved {
    pub id: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Approval {
    pub mode: String,
    pub groups: Vec<Group>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Group {
    pub name: String,
    pub required: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Decision {
    pub user: String,
    pub decision: String,
    #[serde(default)]
    pub group: Option<String>,
    pub at: Timestamp,
    #[serde(default)]
    pub max_duration: Option<String>,
}

/// A link in a record.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    pub(crate) sequence: u32,
    pub(crate) intent_at: Timestamp,
    pub(crate) latest_end: Timestamp,
    #[serde(default)]
    pub(crate) issued_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) item_version: Option<u32>,
    #[serde(default)]
    pub(crate) outcome: Option<Outcome>,
}

/// The outcome of a link's intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Outcome {
    /// The link is in its Secret.
    Issued,
    /// 1Password has made no link.
    Refused,
    /// Nobody has the link, if there is one.
    Lost,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct End {
    pub reason: String,
    pub at: Timestamp,
}

impl Record {
    /// The record as namespace/name.
    pub fn named(&self) -> String {
        format!("{}/{}", self.metadata.namespace, self.metadata.name)
    }

    /// The uid of the grant.
    pub fn grant_uid(&self) -> &str {
        &self.spec.grant.uid
    }

    /// The links, in the order of the record.
    pub fn links(&self) -> &[Link] {
        &self.spec.links
    }

    /// The time at which the loan ended.
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.spec.end.as_ref().map(|end| end.at)
    }

    /// The times of denials and revocations that counted.
    pub fn refused_at(&self) -> impl Iterator<Item = Timestamp> {
        let decisions = self.spec.decisions.iter();
        let refusals = decisions.filter(|decision| decision.decision != "Approve");
        refusals.map(|decision| decision.at)
    }

    /// Whether the request was not granted: it was denied or taken back, has lapsed or failed.
    pub fn lent_nothing(&self) -> bool {
        self.spec
            .outcome
            .as_deref()
            .is_some_and(|outcome| outcome != "Lent")
    }

    /// Whether the loan has ended.
    pub fn has_ended(&self) -> bool {
        self.spec.end.is_some()
    }

    /// Whether the record was restored from a backup.
    pub fn is_restored(&self) -> bool {
        let labels = &self.metadata.labels;
        RESTORED.iter().any(|label| labels.contains_key(*label))
    }

    /// The record in an API object.
    pub fn read(object: Value) -> Result<Self> {
        let written = object.get("spec").cloned().unwrap_or_default();
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.unwrap_or("without a name").to_owned();
        let read: Result<Self, _> = serde_json::from_value(object);
        let read = read.with_context(|| format!("cannot read the AccessRecord {name}"))?;
        Ok(Self { written, ..read })
    }
}

impl Link {
    /// The number of the link within its loan.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// The time just before issuing began.
    pub fn intent_at(&self) -> Timestamp {
        self.intent_at
    }

    /// The time at which 1Password's answer arrived.
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// The time until which the link opens.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The outcome; none while the intent is open.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }
}

/// An AccessGrant.
#[derive(Clone, Debug, Deserialize)]
pub struct Grant {
    pub(crate) metadata: Meta,
    #[serde(default)]
    pub(crate) status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub reason: String,
}

/// The metadata of a link's Secret. What the Secret holds is not read.
#[derive(Clone, Debug, Deserialize)]
pub struct Secret {
    pub(crate) metadata: Meta,
}

/// A share as 1Password has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    pub(crate) vault: String,
    pub(crate) item: String,
    #[serde(default)]
    pub(crate) item_version: Option<u32>,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// The records and the grants in what `kubectl get -o json` prints: one object, a list, or an
/// array.
pub fn read_list(text: &str) -> Result<(Vec<Record>, Vec<Grant>)> {
    let (mut records, mut grants) = (Vec::new(), Vec::new());
    for object in objects(text)? {
        match object.get("kind").and_then(Value::as_str) {
            Some("AccessRecord") => records.push(Record::read(object)?),
            Some("AccessGrant") => grants.push(serde_json::from_value(object)?),
            kind => bail!(
                "expected objects of the kinds AccessRecord and AccessGrant, found {}",
                kind.unwrap_or("one without a kind")
            ),
        }
    }
    Ok((records, grants))
}

/// The Secrets in what kubectl prints: objects, or their metadata, one in each line.
pub fn read_secrets(text: &str) -> Result<Vec<Secret>> {
    let secret = |object: Value| {
        let metadata = object.get("metadata").cloned().unwrap_or(object);
        let metadata = serde_json::from_value(metadata)?;
        Ok(Secret { metadata })
    };
    objects(text)?.into_iter().map(secret).collect()
}

/// The objects in a text: a list, an array, or one value after the other.
fn objects(text: &str) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value.context("the input is not JSON")? {
            Value::Array(array) => objects.extend(array),
            Value::Object(mut list) if list.contains_key("items") => {
                objects.extend(read::<Vec<Value>>(
                    list.remove("items").unwrap_or_default(),
                )?);
            }
            object => objects.push(object),
        }
    }
    Ok(objects)
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T> {
    Ok(serde_json::from_value(value)?)
}
