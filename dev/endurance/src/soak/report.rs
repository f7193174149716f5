//! The result of a soak, as a table and as JSON.

use std::fmt;

use keyloan_ledger::{Finding, Given, Outcome, Rule};
use serde::Serialize;

use super::renewals::Gaps;
use crate::figures::{Samples, load_average};
use crate::lost::Lost;

/// After so many hours, first links have ended while their loans go on.
const LINKS_END: f64 = 1.5;

/// All figures.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The seed of all choices.
    pub seed: u64,
    /// How long it took.
    pub minutes: u64,
    /// How much time passed by the operator's clock.
    pub hours: f64,
    /// Replicas that were killed.
    pub kills: usize,
    /// Replicas that were stopped.
    pub terminations: usize,
    /// The last words of replicas that ended without being told to.
    pub ended_by_themselves: Vec<String>,
    /// Whether no replica was killed or stopped.
    pub calm: bool,
    /// Requests that a flow covered.
    pub covered: usize,
    /// Those of them that left no record: deleted while no replica led, if it was not calm.
    pub without_record: Vec<String>,
    /// All records of loans.
    pub loans: usize,
    /// Links that were handed over.
    pub links: usize,
    /// Links that opened after the end of their loan.
    pub links_past_the_end: usize,
    /// Links lost to a kill.
    pub lost_by_kills: usize,
    /// Links lost to the end of their loan while they were made.
    pub lost_by_ends: usize,
    /// Links lost to a fault of 1Password.
    pub lost_by_faults: usize,
    /// Requests for a further link, shortly before the end of one or after it.
    pub asked: usize,
    /// How long loans were without a link that was asked for.
    pub gaps: Gaps,
    /// All requests to 1Password.
    pub requests: u64,
    /// The leader's memory in megabytes, each time that somebody looks, in a run in which it goes on.
    pub memory: Samples,
    /// The load average of the machine over a minute.
    pub load_at_the_start: String,
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

    /// Counts what the soak has left.
    pub fn count(&mut self, given: &Given, lost: Lost, findings: Vec<Finding>) {
        let lent = given.records.iter().filter(|record| !record.lent_nothing());
        self.loans = lent.count();
        let links = given.records.iter().flat_map(|record| record.links());
        let issued = links.filter(|link| link.outcome() == Some(Outcome::Issued));
        self.links = issued.count();
        let is_late = |finding: &&Finding| finding.rule == Rule::OutlivesLoan;
        self.links_past_the_end = findings.iter().filter(is_late).count();
        self.lost_by_kills = lost.by_kills;
        self.lost_by_ends = lost.by_ends;
        self.lost_by_faults = lost.unexplained.len();
        self.findings = findings;
    }

    /// Notes the promises that were not kept.
    pub fn judge(&mut self) {
        if !self.findings.is_empty() {
            let found = self.findings.len();
            self.broken
                .push(format!("the checker of ledgers found {found} things"));
        }
        self.broken.extend(self.gaps.unexplained.iter().cloned());
        self.broken.extend(self.gaps.unanswered.iter().cloned());
        if self.calm && !self.without_record.is_empty() {
            let missing = self.without_record.join(", ");
            self.broken.push(format!(
                "a flow covered requests that left no record: {missing}"
            ));
        }
        if self.covered == 0 {
            let blind = "no watch saw a request that a flow covered";
            self.broken.push(blind.to_owned());
        }
        if self.hours > LINKS_END && self.asked == 0 {
            let blind = "nobody asked for a further link, so this run says nothing about gaps";
            self.broken.push(blind.to_owned());
        }
    }

    fn per_link(&self) -> String {
        let links = self.links + self.lost_by_kills + self.lost_by_ends + self.lost_by_faults;
        format!("{:.1}", self.requests as f64 / links.max(1) as f64)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory.later_quarters().map_or_else(
            || "not compared: leaders were killed".to_owned(),
            |[second, last]| format!("{second:.1} MB and {last:.1} MB"),
        );
        let rows = [
            (
                "time",
                format!("{} min, in which {:.1} h passed", self.minutes, self.hours),
            ),
            (
                "kills and planned stops",
                format!("{} and {}", self.kills, self.terminations),
            ),
            (
                "replicas that ended by themselves",
                self.ended_by_themselves.len().to_string(),
            ),
            ("requests that a flow covered", self.covered.to_string()),
            (
                "  of them without a record",
                self.without_record.len().to_string(),
            ),
            ("loans", self.loans.to_string()),
            ("links handed over", self.links.to_string()),
            (
                "links that opened after the end of their loan",
                self.links_past_the_end.to_string(),
            ),
            ("links lost to a kill", self.lost_by_kills.to_string()),
            (
                "links lost to the end of the loan meanwhile",
                self.lost_by_ends.to_string(),
            ),
            (
                "links lost to a fault of 1Password",
                self.lost_by_faults.to_string(),
            ),
            ("further links asked for", self.asked.to_string()),
            (
                "time without a link that was asked for",
                self.gaps.times.to_string(),
            ),
            (
                "such times without a kill, a stop or a fault",
                self.gaps.unexplained.len().to_string(),
            ),
            (
                "requests for a link without an answer",
                self.gaps.unanswered.len().to_string(),
            ),
            ("requests to 1Password for each link", self.per_link()),
            ("the leader's memory, second and last quarter", memory),
            ("findings of the checker", self.findings.len().to_string()),
            ("load average at the start", self.load_at_the_start.clone()),
            ("seed", self.seed.to_string()),
        ];
        for (what, figure) in rows {
            writeln!(f, "{what:<48} {figure}")?;
        }
        for finding in &self.findings {
            writeln!(f, "FOUND   {finding}")?;
        }
        for broken in &self.broken {
            writeln!(f, "BROKEN  {broken}")?;
        }
        Ok(())
    }
}
