//! The result of a run, as a table and as JSON.

use std::fmt;

use keyloan_ledger::{Finding, Given, Outcome};
use serde::Serialize;

use crate::figures::{Times, load_average};
use crate::lost::Lost;

use super::notices::Heard;

/// All figures.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The seed of all choices.
    pub seed: u64,
    /// How long all of it took.
    pub seconds: u64,
    /// Replicas that were killed.
    pub kills: usize,
    /// Replicas that were stopped.
    pub terminations: usize,
    /// Whether the time limit came first.
    pub stopped_by_time_limit: bool,
    /// The last words of replicas that ended without being told to.
    pub ended_by_themselves: Vec<String>,
    /// Requests that became loans.
    pub loans: usize,
    /// Requests that were not granted.
    pub unlent: usize,
    /// Links that were handed over.
    pub links: usize,
    /// Links that 1Password did not make.
    pub refused: usize,
    /// Links lost to a kill.
    pub lost_by_kills: usize,
    /// Links lost to the end of their loan while they were made.
    pub lost_by_ends: usize,
    /// Shares that 1Password has.
    pub shares: usize,
    /// From the kill of the leader until a replica leads, if the killed one came back.
    pub lead_after_kill: Times,
    /// The same, if another one came instead.
    pub lead_after_kill_in_new_pod: Times,
    /// From the kill of the leader until a leader writes something.
    pub act_after_kill: Times,
    /// From SIGTERM to the leader until the other one leads.
    pub lead_after_stop: Times,
    /// From SIGTERM to the end of the process.
    pub stop: Times,
    /// The steps that the records tell.
    pub steps: usize,
    /// Notices that arrived at the receivers, repeated ones included.
    pub notices: usize,
    /// Notices that repeated an earlier one.
    pub notices_repeated: usize,
    /// The load average of the machine over a minute.
    pub load_at_the_start: String,
    /// The same afterwards.
    pub load_at_the_end: String,
    /// What the checker of ledgers found.
    pub findings: Vec<Finding>,
    /// Promises that were not kept.
    pub broken: Vec<String>,
}

impl Report {
    /// Nothing has happened yet.
    pub fn begin(seed: u64) -> Self {
        Self {
            seed,
            load_at_the_start: load_average(),
            ..Self::default()
        }
    }

    /// Counts what the run has left.
    pub fn count(&mut self, given: &Given, lost: Lost, findings: Vec<Finding>) {
        self.unlent = given
            .records
            .iter()
            .filter(|record| record.lent_nothing())
            .count();
        self.loans = given.records.len() - self.unlent;
        let links = given.records.iter().flat_map(|record| record.links());
        for link in links {
            match link.outcome() {
                Some(Outcome::Issued) => self.links += 1,
                Some(Outcome::Refused) => self.refused += 1,
                Some(Outcome::Lost) | None => {}
            }
        }
        self.shares = given.shares.as_ref().map_or(0, Vec::len);
        self.lost_by_kills = lost.by_kills;
        self.lost_by_ends = lost.by_ends;
        self.broken.extend(lost.unexplained);
        self.findings = findings;
    }

    /// Takes in what the receivers of notices heard.
    pub fn heard(&mut self, heard: Heard) {
        self.steps = heard.steps;
        self.notices = heard.notices;
        self.notices_repeated = heard.repeated;
        self.broken.extend(heard.broken);
    }

    /// Notes the promises that were not kept.
    pub fn judge(&mut self, kills: usize, terminations: usize) {
        if !self.findings.is_empty() {
            let found = self.findings.len();
            self.broken
                .push(format!("the checker of ledgers found {found} things"));
        }
        let is_complete = (self.kills, self.terminations) == (kills, terminations);
        if !is_complete && !self.stopped_by_time_limit {
            self.broken
                .push("the run ended before it was complete".to_owned());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = self.lost_by_kills + self.lost_by_ends;
        let rows = [
            ("kills (SIGKILL)", self.kills.to_string()),
            ("planned stops (SIGTERM)", self.terminations.to_string()),
            (
                "replicas that ended by themselves",
                self.ended_by_themselves.len().to_string(),
            ),
            ("loans", self.loans.to_string()),
            ("requests that were not granted", self.unlent.to_string()),
            ("links handed over", self.links.to_string()),
            (
                "links that 1Password did not make",
                self.refused.to_string(),
            ),
            ("links lost, as their records say", lost.to_string()),
            (
                "  lost to a kill while they were made",
                self.lost_by_kills.to_string(),
            ),
            (
                "  lost to the end of the loan meanwhile",
                self.lost_by_ends.to_string(),
            ),
            ("shares in 1Password", self.shares.to_string()),
            (
                "from the kill of the leader until it leads again",
                self.lead_after_kill.to_string(),
            ),
            (
                "  if another replica has to take the lead",
                self.lead_after_kill_in_new_pod.to_string(),
            ),
            (
                "from the kill of a leader until a leader acts",
                self.act_after_kill.to_string(),
            ),
            (
                "from SIGTERM until the other replica leads",
                self.lead_after_stop.to_string(),
            ),
            (
                "from SIGTERM to the end of the process",
                self.stop.to_string(),
            ),
            ("steps that the records tell", self.steps.to_string()),
            (
                "notices that arrived at three receivers",
                self.notices.to_string(),
            ),
            (
                "  repeated, with the same id",
                self.notices_repeated.to_string(),
            ),
            ("findings of the checker", self.findings.len().to_string()),
            (
                "load average",
                format!("{} to {}", self.load_at_the_start, self.load_at_the_end),
            ),
            ("time", format!("{} min", self.seconds.div_ceil(60))),
            ("seed", self.seed.to_string()),
        ];
        for (what, figure) in rows {
            writeln!(f, "{what:<50} {figure}")?;
        }
        if self.stopped_by_time_limit {
            writeln!(f, "\nThe time limit came before all kills and stops.")?;
        }
        for finding in &self.findings {
            writeln!(f, "FOUND   {finding}")?;
        }
        for broken in &self.broken {
            writeln!(f, "BROKEN  {broken}")?;
        }
        match self.broken.is_empty() {
            true => writeln!(f, "\nAll promises were kept."),
            false => Ok(()),
        }
    }
}
