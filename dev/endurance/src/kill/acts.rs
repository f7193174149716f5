//! When the operator acted, by the API server's audit log: a leader acts with its first write.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;

use crate::figures::Times;

/// A leader that was killed.
#[derive(Clone, Copy)]
pub struct Killed {
    /// When.
    pub at: Timestamp,
    /// How soon a replica led after that.
    pub led_after: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

/// From each kill to the first write of the next leader.
pub fn times(log: &Path, operator: &str, kills: &[Killed]) -> Result<Times> {
    let log = BufReader::new(File::open(log).context("no audit log")?);
    let mut acts = Vec::new();
    for line in log.split(b'\n') {
        // The last line may be incomplete.
        if let Ok(entry) = serde_json::from_slice::<Entry>(&line?)
            && entry.is_act(operator)
        {
            acts.push(entry.request_received_timestamp);
        }
    }
    Ok(after(&mut acts, kills))
}

fn after(acts: &mut [Timestamp], kills: &[Killed]) -> Times {
    acts.sort();
    let mut times = Times::default();
    for kill in kills {
        let led_at = kill.at.saturating_add(kill.led_after);
        let led_at = led_at.unwrap_or(Timestamp::MAX);
        if let Some(first) = acts.get(acts.partition_point(|act| *act < led_at)) {
            let since = first.duration_since(kill.at);
            times.push(since.try_into().unwrap_or_default());
        }
    }
    times
}

impl Entry {
    /// Both replicas look after the lease, and try the admission policies by dry runs.
    fn is_act(&self, operator: &str) -> bool {
        let writes = ["create", "update", "patch", "delete"];
        let is_own = ["/leases", "dryRun="]
            .iter()
            .any(|part| self.request_uri.contains(part));
        self.user.username == operator && writes.contains(&self.verb.as_str()) && !is_own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_acts_with_its_first_write_after_it_leads() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let kill = |second, led_after| Killed {
            at: at(second),
            led_after: Duration::from_secs(led_after),
        };
        let mut acts = [at(112), at(101), at(105)];
        let times = after(&mut acts, &[kill(100, 3), kill(110, 1), kill(200, 1)]);
        assert_eq!(times.to_string(), "median 5.0 s, longest 5.0 s (2 times)");
    }
}
