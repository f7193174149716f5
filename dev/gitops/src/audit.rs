//! What a user has written, from the audit log of the API server.

use anyhow::Result;
use serde_json::Value;

use crate::site::Site;

/// A position in the audit log: its number of lines so far.
pub fn now(site: &Site) -> Result<usize> {
    Ok(std::fs::read_to_string(site.cluster.audit_log())?
        .lines()
        .count())
}

/// The times of a user's writes to some resources since a position, in order. Dry runs, which are
/// comparisons, and subresources do not count.
pub fn writes(site: &Site, user: &str, resources: &[&str], since: usize) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(site.cluster.audit_log())?;
    let mut times = Vec::new();
    for line in log.lines().skip(since) {
        let entry: Value = serde_json::from_str(line)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = text(&entry["objectRef"]["resource"]);
        let verb = text(&entry["verb"]);
        let is_write = ["create", "update", "patch"].contains(&verb.as_str())
            && !text(&entry["requestURI"]).contains("dryRun")
            && entry["objectRef"]["subresource"].is_null();
        let is_theirs = entry["user"]["username"] == user && resources.contains(&resource.as_str());
        if is_write && is_theirs {
            times.push(text(&entry["requestReceivedTimestamp"]));
        }
    }
    times.sort();
    Ok(times)
}
