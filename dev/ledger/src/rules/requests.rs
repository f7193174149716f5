//! Requests for another link of a running loan: each is answered in time, or its grant says why
//! not.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::loan::{CALL, Loan, after};
use crate::finding::{Finding, Rule};
use crate::given::Limits;
use crate::objects::{Grant, Record};

/// The annotation with which a requester asks for the next link: docs/plugin.md.
const ASKED: &str = "keyloan.dev/renew-requested-at";

/// The time before its end from which a link is followed by the next one.
const ABOUT_TO_END: SignedDuration = SignedDuration::from_mins(10);

/// How long a request for a link may be without an answer.
const ANSWERED_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// Reasons of the condition `Active` that name no obstacle: docs/reasons.md.
const NO_OBSTACLE: [&str; 3] = ["LinkIssued", "Issuing", "LinkEnded"];

/// Checks each grant that asks for a link.
pub fn check(records: &[Record], grants: &[Grant], limits: &Limits) -> Vec<Finding> {
    let grants: BTreeMap<&str, &Grant> = grants
        .iter()
        .map(|grant| (grant.metadata.uid.as_str(), grant))
        .collect();
    let mut findings = Vec::new();
    for record in records.iter().filter(|record| !record.has_ended()) {
        let Some(grant) = grants.get(record.spec.grant.uid.as_str()) else {
            continue;
        };
        if let Some(due) = unanswered_since(record, grant, limits) {
            let what = format!(
                "the next link was due at {due}; there is none, and the grant does not say why"
            );
            findings.push(Finding::new(Rule::Gap, record.named(), what));
        }
    }
    findings
}

fn unanswered_since(record: &Record, grant: &Grant, limits: &Limits) -> Option<Timestamp> {
    let loan = Loan::new(record, limits);
    let asked: Timestamp = grant.metadata.annotations.get(ASKED)?.parse().ok()?;
    let current = loan.issued().last()?;
    let about_to_end = after(current.expires_at?, -ABOUT_TO_END);
    if record.spec.terms.renewal != "OnRequest" || asked < about_to_end {
        return None;
    }
    let is_tried = loan.links().iter().any(|link| link.intent_at >= asked);
    // The shortest link opens for an hour: docs/limits.md.
    let needed = SignedDuration::from_hours(1) + CALL + ANSWERED_WITHIN;
    let has_time = loan.due_end()?.duration_since(asked) > needed;
    let mut conditions = grant.status.conditions.iter();
    let active = conditions.find(|condition| condition.kind == "Active");
    let is_told = active.is_some_and(|active| {
        active.status != "True" && !NO_OBSTACLE.contains(&active.reason.as_str())
    });
    let is_due = limits.now > after(asked, ANSWERED_WITHIN);
    (is_due && has_time && !is_tried && !is_told).then_some(asked)
}
