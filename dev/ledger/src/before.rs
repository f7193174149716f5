//! Two copies of the same records: what was written stays.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::finding::{Finding, Rule};
use crate::given::Limits;
use crate::objects::Record;

/// How long a record is kept after its loan and last link have ended: docs/glossary.md, "Record".
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 90);

/// The parts of a record that never change, as its schema says.
const FIXED: [&str; 6] = [
    "grant",
    "requester",
    "terms",
    "digest",
    "justification",
    "requestedAt",
];

/// The parts of a link that are written with the intent.
const OF_THE_INTENT: [&str; 2] = ["intentAt", "attempt"];

/// The parts of a link that are written once.
const WRITTEN_ONCE: [&str; 4] = ["itemVersion", "issuedAt", "expiresAt", "outcome"];

/// Compares each earlier copy with the present record.
pub fn check(before: &[Record], now: &[Record], limits: &Limits) -> Vec<Finding> {
    let present: BTreeMap<String, &Record> =
        now.iter().map(|record| (record.named(), record)).collect();
    let compared = before
        .iter()
        .flat_map(|old| match present.get(&old.named()) {
            Some(new) => compare(old, new),
            None => gone(old, limits).into_iter().collect(),
        });
    compared.collect()
}

fn gone(record: &Record, limits: &Limits) -> Option<Finding> {
    let end = record.spec.end.as_ref().map(|end| end.at);
    let over = end
        .max(record.spec.residual_until)
        .filter(|_| end.is_some());
    let kept_until = over.and_then(|over| over.checked_add(KEPT_FOR).ok());
    if kept_until.is_some_and(|until| until <= limits.now) {
        return None;
    }
    let what = match over {
        Some(over) => {
            format!("the record is gone, and its loan and links were over only at {over}")
        }
        None => "the record is gone, and its loan had not ended".to_owned(),
    };
    Some(Finding::new(Rule::RecordGone, record.named(), what))
}

/// The differences that cannot be between a record and a later copy of it.
pub fn compare(old: &Record, new: &Record) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |rule, what: String| findings.push(Finding::new(rule, new.named(), what));
    for part in FIXED {
        if old.written.get(part) != new.written.get(part) {
            find(Rule::Rewritten, format!("{part} was changed"));
        }
    }
    let outcome = |record: &Record| record.spec.outcome.clone().unwrap_or("Lent".to_owned());
    if outcome(old) != outcome(new) {
        let what = format!("the outcome was {} and is {}", outcome(old), outcome(new));
        find(Rule::Rewritten, what);
    }
    let decisions = list(&new.written, "decisions");
    if !list(&old.written, "decisions")
        .iter()
        .all(|decision| decisions.contains(decision))
    {
        find(
            Rule::Rewritten,
            "a decision that counted is gone".to_owned(),
        );
    }
    let links = list(&new.written, "links");
    for link in list(&old.written, "links") {
        let is_same = |other: &&Value| other.get("sequence") == link.get("sequence");
        let number = link.get("sequence").cloned().unwrap_or_default();
        match links.iter().find(is_same) {
            Some(later) => {
                if let Some(changed) = rewritten(link, later) {
                    find(
                        Rule::Rewritten,
                        format!("{changed} of link {number} was changed"),
                    );
                }
            }
            None => find(Rule::Rewritten, format!("link {number} is gone")),
        }
    }
    if old.spec.end.is_some() {
        for part in ["end", "residualUntil"] {
            if old.written.get(part) != new.written.get(part) {
                let what = format!("the loan had ended, and {part} was changed");
                find(Rule::Unended, what);
            }
        }
    }
    findings
}

fn list<'a>(spec: &'a Value, part: &str) -> &'a [Value] {
    let list = spec.get(part).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// A part of a link that cannot have changed so. The latest end becomes later only when the link
/// becomes lost, because of a late answer.
fn rewritten(old: &Value, new: &Value) -> Option<&'static str> {
    let differs = |part: &&&str| old.get(part) != new.get(part);
    let is_set = |part: &&&str| old.get(part).is_some_and(|value| !value.is_null());
    let intent = OF_THE_INTENT.iter().find(differs);
    let once = WRITTEN_ONCE.iter().filter(is_set).find(differs);
    let end = |link: &Value| {
        let text = link.get("latestEnd").and_then(Value::as_str);
        text.and_then(|text| text.parse::<Timestamp>().ok())
    };
    let becomes_lost = old.get("outcome") != new.get("outcome")
        && new.get("outcome").and_then(Value::as_str) == Some("Lost");
    let end_is_moved = match becomes_lost {
        true => end(new) < end(old),
        false => end(new) != end(old),
    };
    let end = end_is_moved.then_some("latestEnd");
    intent.or(once).copied().or(end)
}
