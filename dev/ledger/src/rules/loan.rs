//! A record with the times that follow from its terms.

use jiff::{SignedDuration, Timestamp};

use crate::finding::{Finding, Rule};
use crate::given::Limits;
use crate::objects::{Link, Outcome, Record};
use crate::span;

/// The time that an intent reserves for the call to 1Password: the API's `latestEnd` is the latest
/// time until which the link can open, if it was issued at all.
pub const CALL: SignedDuration = SignedDuration::from_secs(60);

/// Objects store whole seconds, some rounded down and some rounded up.
pub const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// One record while it is checked.
pub struct Loan<'a> {
    /// The record.
    pub record: &'a Record,
    /// The limits.
    pub limits: &'a Limits,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl<'a> Loan<'a> {
    /// Nothing is found yet.
    pub fn new(record: &'a Record, limits: &'a Limits) -> Self {
        Self {
            record,
            limits,
            findings: Vec::new(),
        }
    }

    /// Notes a finding.
    pub fn find(&mut self, rule: Rule, what: impl Into<String>) {
        let finding = Finding::new(rule, self.record.named(), what);
        self.findings.push(finding);
    }

    /// The links.
    pub fn links(&self) -> &'a [Link] {
        &self.record.spec.links
    }

    /// The links that were handed over.
    pub fn issued(&self) -> impl Iterator<Item = &'a Link> + use<'a> {
        let links = self.links().iter();
        links.filter(|link| link.outcome == Some(Outcome::Issued))
    }

    /// The agreed duration, or the shortest one that an approval allows: docs/approval.md.
    pub fn duration(&self) -> SignedDuration {
        let spec = &self.record.spec;
        let approvals = spec.decisions.iter().filter(|d| d.decision == "Approve");
        let shortened = approvals.filter_map(|d| span::parse(d.max_duration.as_ref()?));
        let agreed = span::parse(&spec.terms.duration).unwrap_or_default();
        shortened.fold(agreed, SignedDuration::min)
    }

    /// The longest lifetime that a link of these terms may have.
    pub fn longest_life(&self) -> SignedDuration {
        let life = span::parse(&self.record.spec.terms.link_lifetime).unwrap_or_default();
        life.min(self.duration())
    }

    /// The end of the loan by its terms: a loan begins with its first link.
    pub fn due_end(&self) -> Option<Timestamp> {
        let first = self.issued().next()?;
        let begun = first.issued_at.unwrap_or(first.intent_at);
        Some(after(begun, self.duration()))
    }
}

/// The time this long after another.
pub fn after(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Whether a time is later than a limit, beyond rounding.
pub fn is_after(time: Timestamp, limit: Timestamp) -> bool {
    time > after(limit, SECOND)
}
