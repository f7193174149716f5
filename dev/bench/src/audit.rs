//! Counts the writes of one user between two points in the API server's audit log.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The kinds of a loan's objects.
const OF_A_LOAN: [&str; 6] = [
    "accessrecords",
    "secrets",
    "roles",
    "rolebindings",
    "accessgrants",
    "accessgrants/status",
];

/// The writing verbs.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// The log of a running API server.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
    /// The user whose writes are counted.
    user: String,
}

/// A point in the log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// Writes by verb and resource, such as `create accessrecords`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Writes {
    /// The loans' own objects.
    loans: BTreeMap<String, u64>,
    /// Events about the grants.
    events: u64,
    /// Probes of the admission policies: dry runs that the policies refuse.
    boundary_checks: u64,
    /// Dry runs that try whether a link's Secret can be written.
    tried: u64,
    /// The loans' writes that the API server refused, by status.
    refused: BTreeMap<u16, u64>,
}

impl Writes {
    /// How many writes the loans took.
    pub fn of_loans(&self) -> u64 {
        self.loans.values().sum()
    }

    /// The loans' writes for each of `loans`, as `1 create secrets`, in one line.
    pub fn per_loan(&self, loans: usize) -> String {
        let each = |count: u64| {
            let text = format!("{:.2}", count as f64 / loans.max(1) as f64);
            text.strip_suffix(".00").map(str::to_owned).unwrap_or(text)
        };
        let written = self
            .loans
            .iter()
            .map(|(what, count)| format!("{} {what}", each(*count)));
        let refused = self
            .refused
            .iter()
            .map(|(status, count)| format!("refused with {status}: {count} in total"));
        let apart = [
            ("events", self.events),
            ("checks of the boundary", self.boundary_checks),
            ("dry runs", self.tried),
        ];
        let apart = apart
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{} {what} (separate)", each(count)));
        written
            .chain(refused)
            .chain(apart)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn add(&mut self, entry: &Entry, objects: &HashSet<String>) {
        let Some(object) = &entry.object_ref else {
            return;
        };
        let resource = match object.subresource.as_deref() {
            Some(subresource) => format!("{}/{subresource}", object.resource),
            None => object.resource.clone(),
        };
        // The name of an event is its object's name, a dot, and the time.
        let event_about = object.name.rsplit_once('.').map_or("", |(about, _)| about);
        if resource == "events" && objects.contains(event_about) {
            self.events += 1;
        } else if (entry.verb.as_str(), resource.as_str()) == ("create", "accessgrants") {
            // The operator does not borrow.
            self.boundary_checks += 1;
        } else if entry.request_uri.contains("dryRun=") {
            self.tried += u64::from(objects.contains(&object.name));
        } else if OF_A_LOAN.contains(&resource.as_str()) && objects.contains(&object.name) {
            let what = format!("{} {resource}", entry.verb);
            *self.loans.entry(what).or_default() += 1;
            let status = entry.response_status.as_ref().map(|status| status.code);
            if let Some(status) = status.filter(|status| *status >= 400) {
                *self.refused.entry(status).or_default() += 1;
            }
        }
    }
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
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    name: String,
    subresource: Option<String>,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl AuditLog {
    /// The entries of this user in the log file.
    pub fn new(path: PathBuf, user: impl Into<String>) -> Self {
        Self {
            path,
            user: user.into(),
        }
    }

    /// The present end of the log.
    pub fn mark(&self) -> Result<Mark> {
        let size = fs::metadata(&self.path)
            .with_context(|| format!("no audit log at {}", self.path.display()))?;
        Ok(Mark(size.len()))
    }

    /// The user's completed writes since then; `objects` are the names of the loans' own objects.
    pub fn writes_since(&self, mark: Mark, objects: &HashSet<String>) -> Result<Writes> {
        ensure!(
            mark.0 <= self.mark()?.0,
            "the API server has begun a new audit log in the meantime; what the old one held is not counted"
        );
        let mut file = File::open(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        file.seek(SeekFrom::Start(mark.0))?;
        count(BufReader::new(file), &self.user, objects)
    }
}

fn count(log: impl BufRead, user: &str, objects: &HashSet<String>) -> Result<Writes> {
    let mut writes = Writes::default();
    for line in log.split(b'\n') {
        // The last line may be incomplete, and the first one may begin in its middle.
        let Ok(entry) = serde_json::from_slice::<Entry>(&line?) else {
            continue;
        };
        let answered = entry.stage == "ResponseComplete" || entry.stage == "Panic";
        if answered && entry.user.username == user && WRITES.contains(&entry.verb.as_str()) {
            writes.add(&entry, objects);
        }
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> HashSet<String> {
        HashSet::from(["ours".to_owned()])
    }

    fn line(user: &str, verb: &str, resource: &str, subresource: &str, code: u16) -> String {
        let mut object = serde_json::json!({ "resource": resource, "name": "ours" });
        if !subresource.is_empty() {
            object["subresource"] = subresource.into();
        }
        let entry = serde_json::json!({
            "stage": "ResponseComplete", "verb": verb, "user": { "username": user },
            "objectRef": object, "responseStatus": { "code": code },
        });
        entry.to_string()
    }

    fn tried(line: &str) -> String {
        let mut entry: serde_json::Value = serde_json::from_str(line).unwrap();
        entry["requestURI"] = "/api/v1/namespaces/links/secrets?dryRun=All".into();
        entry.to_string()
    }

    #[test]
    fn only_the_users_writes_on_the_loans_own_objects_count_and_events_count_apart() {
        let log = [
            line("operator", "create", "accessrecords", "", 201),
            line("operator", "patch", "accessgrants", "status", 200),
            line("operator", "patch", "accessgrants", "status", 409),
            line("operator", "get", "secrets", "", 200),
            line("operator", "watch", "secrets", "", 200),
            line("operator", "create", "events", "", 201).replace("ours", "ours.18b2"),
            line("operator", "create", "events", "", 201).replace("ours", "another.18b2"),
            line("operator", "update", "leases", "", 200),
            line("operator", "create", "secrets", "", 201).replace("ours", "another"),
            line("operator", "create", "accessgrants", "", 403).replace("ours", ""),
            tried(&line("operator", "create", "secrets", "", 201)),
            line("alice", "create", "accessgrants", "", 201),
            "{\"stage\": \"Resp".to_owned(),
        ];
        let writes = count(log.join("\n").as_bytes(), "operator", &ours()).unwrap();
        assert_eq!(writes.of_loans(), 3);
        assert_eq!(writes.loans["patch accessgrants/status"], 2);
        assert_eq!(writes.events, 1);
        let shown = "0.50 create accessrecords, 1 patch accessgrants/status, refused with 409: 1 in total, 0.50 events (separate), \
                     0.50 checks of the boundary (separate), 0.50 dry runs (separate)";
        assert_eq!(writes.per_loan(2), shown);
    }

    #[test]
    fn a_request_counts_once_whatever_stages_are_logged() {
        let complete = line("operator", "create", "secrets", "", 201);
        let received = complete.replace("ResponseComplete", "RequestReceived");
        let writes = count(
            format!("{received}\n{complete}\n").as_bytes(),
            "operator",
            &ours(),
        )
        .unwrap();
        assert_eq!(writes.of_loans(), 1);
    }
}
