//! Why links were lost: each was being made when the leader was killed, or when its loan ended.

use jiff::{SignedDuration, Timestamp};
use keyloan_ledger::{Link, Outcome, Record};

/// How soon a loan has ended after a link was not handed over because of its end. If the lead
/// changes then, the next leader writes the end.
const ENDED_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// Intents are written in whole seconds, rounded down.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The lost links by cause.
#[derive(Debug, Default, PartialEq)]
pub struct Lost {
    /// The leader was killed while the link was being made.
    pub by_kills: usize,
    /// The loan ended while the link was being made.
    pub by_ends: usize,
    /// Neither of the two.
    pub unexplained: Vec<String>,
}

impl Lost {
    /// The causes, if leaders were killed at these times, and a link is in its Secret so long after
    /// its intent.
    pub fn of(records: &[Record], kills: &[Timestamp], made_within: SignedDuration) -> Self {
        let mut lost = Self::default();
        for record in records {
            let is_lost = |link: &&Link| link.outcome() == Some(Outcome::Lost);
            for link in record.links().iter().filter(is_lost) {
                let begun = link.intent_at();
                let is_within = |at: Timestamp, limit: SignedDuration| {
                    let after = at.duration_since(begun);
                    -SECOND <= after && after <= limit
                };
                let is_meanwhile = |at: &Timestamp| is_within(*at, made_within);
                let has_ended = record
                    .ended_at()
                    .is_some_and(|at| is_within(at, ENDED_WITHIN.max(made_within)))
                    || record.refused_at().any(|at| is_meanwhile(&at));
                if kills.iter().any(is_meanwhile) {
                    lost.by_kills += 1;
                } else if has_ended {
                    lost.by_ends += 1;
                } else {
                    let (record, number) = (record.named(), link.sequence());
                    lost.unexplained.push(format!(
                        "link {number} of {record}, begun at {begun}, was lost, and neither was the \
                         leader killed then, nor did the loan end"
                    ));
                }
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(end: &str) -> Record {
        let named = json!({ "id": "x" });
        Record::read(json!({
            "metadata": { "namespace": "n", "name": "r" },
            "spec": {
                "grant": { "uid": "r" }, "requester": { "username": "alice" },
                "terms": {
                    "vault": named, "item": named, "recipients": [], "duration": "1h",
                    "viewOnce": false, "linkLifetime": "1h", "renewal": "Never",
                },
                "links": [{
                    "sequence": 1, "outcome": "Lost",
                    "intentAt": "2026-11-30T12:00:00Z", "latestEnd": "2026-11-30T13:01:00Z",
                }],
                "end": { "reason": "Revoked", "at": end },
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_lost_link_is_explained_by_what_happened_while_it_was_made() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let counts = |end: &str, kills: &[Timestamp]| {
            let lost = Lost::of(&[record(end)], kills, SignedDuration::from_secs(6));
            (lost.by_kills, lost.by_ends, lost.unexplained.len())
        };
        let (meanwhile, later) = ("2026-11-30T12:00:03Z", "2026-11-30T12:30:00Z");
        assert_eq!(counts(later, &[at(meanwhile)]), (1, 0, 0));
        assert_eq!(counts(meanwhile, &[at(later)]), (0, 1, 0));
        assert_eq!(counts(later, &[at(later)]), (0, 0, 1));
        assert_eq!(counts(later, &[at("2026-11-30T11:59:58Z")]), (0, 0, 1));
    }
}
