//! Checks the records of loans: what they say must fit together, and fit what 1Password, the API
//! server's audit log and earlier copies of the same records say.
//!
//! Nothing here knows Keyloan's own types or decisions. The rules come from the documentation.

mod audit;
mod before;
mod finding;
mod given;
mod objects;
mod rules;
mod span;

pub use audit::AuditLog;
pub use finding::{Finding, Rule};
pub use given::{Given, Limits};
pub use objects::{Grant, Link, Outcome, Record, Secret, Share, read_list, read_secrets};

/// Checks all that is given; the findings are sorted by record.
pub fn check(given: &Given, limits: &Limits) -> Vec<Finding> {
    let mut findings = rules::check(given, limits);
    if let Some(before) = &given.before {
        findings.extend(before::check(before, &given.records, limits));
    }
    if let Some(audit) = &given.audit {
        findings.extend(audit.check(&given.records, limits));
    }
    findings.sort_by(|one, other| (&one.record, one.rule).cmp(&(&other.record, other.rule)));
    findings.dedup();
    findings
}
