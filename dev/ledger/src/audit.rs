//! The API server's audit log: who wrote records and links, and in which order.

use std::collections::BTreeMap;
use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::before;
use crate::finding::{Finding, Rule};
use crate::given::Limits;
use crate::objects::{Outcome, Record};

/// The prefix of the names of link Secrets: the grant's uid follows.
const LINK: &str = "keyloan-link-";

/// The cluster's own controllers, which empty namespaces and collect garbage: docs/security.md.
const CONTROLLERS: &str = "system:serviceaccount:kube-system:";

/// The writes that succeeded on records and on link Secrets, and the deletions that may have.
#[derive(Debug, Default)]
pub struct AuditLog {
    records: Vec<Write>,
    /// By the grant's uid.
    links: BTreeMap<String, Vec<Write>>,
}

#[derive(Debug)]
struct Write {
    verb: String,
    user: String,
    name: String,
    /// The record after the write, if the log has bodies.
    record: Option<(u64, Record)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI", default)]
    request_uri: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
    response_object: Option<Value>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    namespace: String,
    name: String,
    subresource: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl AuditLog {
    /// Reads a log of JSON lines. Its first and last line may be incomplete.
    pub fn read(log: impl BufRead) -> Result<Self> {
        let mut read = Self::default();
        for line in log.split(b'\n') {
            if let Ok(entry) = serde_json::from_slice::<Entry>(&line?) {
                read.take_in(entry)?;
            }
        }
        Ok(read)
    }

    fn take_in(&mut self, entry: Entry) -> Result<()> {
        let object = entry.object_ref.unwrap_or_default();
        let code = entry.response_status.map_or(0, |status| status.code);
        let is_write = ["create", "update", "patch", "delete"].contains(&entry.verb.as_str());
        // An operator that is killed leaves calls without an answer, which the log calls failed
        // although they may have been done.
        let may_be_done = code >= 500 && entry.verb == "delete";
        let is_done = (200..300).contains(&code) || may_be_done;
        let is_done = is_done && entry.stage == "ResponseComplete";
        let is_tried = entry.request_uri.contains("dryRun=");
        if !is_write || !is_done || is_tried || !object.subresource.is_empty() {
            return Ok(());
        }
        let write = |record| Write {
            verb: entry.verb,
            user: entry.user.username,
            name: format!("{}/{}", object.namespace, object.name),
            record,
        };
        match (object.resource.as_str(), object.name.strip_prefix(LINK)) {
            ("accessrecords", _) => {
                let record = entry.response_object.map(versioned).transpose()?;
                self.records.push(write(record.flatten()));
            }
            ("secrets", Some(uid)) => {
                let writes = self.links.entry(uid.to_owned()).or_default();
                writes.push(write(None));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the log has the records as they were written.
    pub fn has_bodies(&self) -> bool {
        self.records.iter().any(|write| write.record.is_some())
    }

    /// Checks the writes against the records as they are now.
    pub(crate) fn check(&self, records: &[Record], limits: &Limits) -> Vec<Finding> {
        let mut findings = self.foreign(limits);
        findings.extend(self.versions());
        for record in records {
            if let Some(writes) = self.links.get(&record.spec.grant.uid) {
                findings.extend(handed_over(record, writes));
            }
        }
        findings
    }

    /// docs/security.md: only the operator writes records and links; the cluster's own controllers
    /// may delete them, and people with rights on them may delete Secrets.
    fn foreign(&self, limits: &Limits) -> Vec<Finding> {
        let links = self.links.values().flatten();
        let links = links.filter(|write| write.verb != "delete");
        let is_foreign = |write: &&Write| {
            let deletes = write.verb == "delete" && write.user.starts_with(CONTROLLERS);
            write.user != limits.operator && !deletes
        };
        let foreign = self.records.iter().chain(links).filter(is_foreign);
        let finding = |write: &Write| {
            let what = format!("{} did: {}", write.user, write.verb);
            Finding::new(Rule::ForeignWrite, write.name.clone(), what)
        };
        foreign.map(finding).collect()
    }

    /// Each version of a record against the one before.
    fn versions(&self) -> Vec<Finding> {
        let mut versions: BTreeMap<String, BTreeMap<u64, &Record>> = BTreeMap::new();
        for (version, record) in self
            .records
            .iter()
            .filter_map(|write| write.record.as_ref())
        {
            let of_record = versions.entry(record.named()).or_default();
            of_record.insert(*version, record);
        }
        let pairs = versions.values().flat_map(|of_record| {
            let later = of_record.values().skip(1);
            of_record.values().zip(later)
        });
        pairs
            .flat_map(|(old, new)| before::compare(old, new))
            .collect()
    }
}

fn versioned(object: Value) -> Result<Option<(u64, Record)>> {
    if object.get("kind").and_then(Value::as_str) != Some("AccessRecord") {
        return Ok(None);
    }
    let version = object.pointer("/metadata/resourceVersion");
    let version = version
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    Ok(Some((version.unwrap_or(0), Record::read(object)?)))
}

/// What the writes of its Secret say about a loan.
fn handed_over(record: &Record, writes: &[Write]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let stays = writes.last().is_some_and(|write| write.verb != "delete");
    if record.has_ended() && stays {
        let what = "the last write of its Secret is no deletion, although the loan has ended";
        findings.push(Finding::new(Rule::HandedOverLate, record.named(), what));
    }
    let written = writes.iter().filter(|write| write.verb != "delete").count();
    let may_be_written = |outcome| !matches!(outcome, Some(Outcome::Lost | Outcome::Refused));
    let links = record.spec.links.iter();
    let said = links.filter(|link| may_be_written(link.outcome)).count();
    if written > said {
        let what =
            format!("{written} links were written into its Secret, and {said} count as issued");
        findings.push(Finding::new(Rule::HandedOverUnsaid, record.named(), what));
    }
    findings
}
