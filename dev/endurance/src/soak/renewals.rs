//! Requests for the next link, shortly before and after the end of the current one, and how soon
//! they were answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use keyloan::api::{AccessGrant, RENEW_ANNOTATION};
use keyloan_ledger::{Outcome, Record};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde_json::json;

use super::faults::Troubles;
use crate::clock::Clock;
use crate::figures::Times;
use crate::ground::TEAM;

/// How often to look for links that are about to end.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// When a link may be followed by the next one, before its end.
const BEFORE_ITS_END: SignedDuration = SignedDuration::from_mins(9);
/// What a loan has to have left for another link, and some more.
const NEEDED: SignedDuration = SignedDuration::from_mins(70);
/// How long a request may be without an answer.
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

/// How long a trouble lasts at most: a call without an answer, and the wait for the next try.
const LASTS: SignedDuration = SignedDuration::from_mins(2);

/// The times at which links were asked for, by the uid of the grant.
pub type Asked = Arc<Mutex<BTreeMap<String, Vec<Timestamp>>>>;

/// The borrowers' clients, by their usernames: nobody else may ask for their next link.
pub type Borrowers = BTreeMap<String, Client>;

/// Asks for the next link, as its borrower, wherever one is about to end.
pub async fn ask(admin: Client, borrowers: Borrowers, clock: Clock, asked: Asked) -> Result<()> {
    let grants: Api<AccessGrant> = Api::namespaced(admin, TEAM);
    let active = ListParams::default().fields("status.phase=Active");
    loop {
        tokio::time::sleep(LOOKS_EVERY).await;
        for grant in grants.list(&active).await? {
            let now = clock.now();
            if !is_due(&grant, now) {
                continue;
            }
            let renew =
                json!({ "metadata": { "annotations": { RENEW_ANNOTATION: now.to_string() } } });
            let requester = grant.spec.requester.as_ref();
            let borrower = requester.and_then(|requester| borrowers.get(&requester.username));
            let borrower = borrower.context("somebody else has borrowed")?;
            let own: Api<AccessGrant> = Api::namespaced(borrower.clone(), TEAM);
            let (params, renew) = (PatchParams::default(), Patch::Merge(renew));
            match own.patch(&grant.name_any(), &params, &renew).await {
                Ok(_) => {
                    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                    let uid = grant.uid().unwrap_or_default();
                    asked.entry(uid).or_default().push(now);
                }
                // It was deleted meanwhile.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// How often a link was asked for.
pub fn number(asked: &Asked) -> usize {
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    asked.values().map(Vec::len).sum()
}

fn is_due(grant: &AccessGrant, now: Timestamp) -> bool {
    let Some(status) = &grant.status else {
        return false;
    };
    let (Some(link), Some(end)) = (&status.link, &status.expires_at) else {
        return false;
    };
    let asked = grant.annotations().get(RENEW_ANNOTATION);
    let asked: Option<Timestamp> = asked.and_then(|text| text.parse().ok());
    link.expires_at.0.duration_since(now) < BEFORE_ITS_END
        && end.0.duration_since(now) > NEEDED
        && asked.is_none_or(|asked| asked <= link.issued_at.0)
}

/// The gaps in access of loans whose next link was asked for.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gaps {
    /// The time without a link after each request, by the operator's clock.
    pub times: Times,
    /// Gaps although nothing was done to the operator or 1Password since the request.
    pub unexplained: Vec<String>,
    /// Requests without an answer.
    pub unanswered: Vec<String>,
}

impl Gaps {
    /// Finds them in the records.
    pub fn of(records: &[Record], asked: &Asked, troubles: &Troubles) -> Self {
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let troubles = troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gaps = Self::default();
        for record in records {
            for at in asked.get(record.grant_uid()).into_iter().flatten() {
                gaps.look(record, *at, &troubles);
            }
        }
        gaps
    }

    fn look(&mut self, record: &Record, asked: Timestamp, troubles: &[Timestamp]) {
        // A record has whole seconds.
        let at = Timestamp::from_second(asked.as_second()).unwrap_or(asked);
        let issued = record.links().iter();
        let issued: Vec<_> = issued
            .filter(|link| link.outcome() == Some(Outcome::Issued))
            .collect();
        let current = issued.iter().rev().find(|link| link.intent_at() < at);
        let next = issued.iter().find(|link| link.intent_at() >= at);
        let open_until = current.and_then(|link| link.expires_at()).unwrap_or(at);
        match next.and_then(|link| link.issued_at()) {
            Some(next) => {
                let gap = next.duration_since(open_until.max(at));
                self.times.push(gap.try_into().unwrap_or_default());
                let since = at - LASTS;
                let is_meanwhile = |trouble: &Timestamp| (since..=next).contains(trouble);
                if gap.is_positive() && !troubles.iter().any(is_meanwhile) {
                    self.unexplained.push(format!(
                        "{} asked for a link at {asked}, had none from {open_until}, and got the \
                         next at {next}, although nothing was done to the operator or 1Password",
                        record.named()
                    ));
                }
            }
            None if ran_on(record, asked) => self.unanswered.push(format!(
                "{} asked for a link at {asked} and got none",
                record.named()
            )),
            None => {}
        }
    }
}

fn ran_on(record: &Record, asked: Timestamp) -> bool {
    let end = record.ended_at();
    end.is_none_or(|end| end.duration_since(asked) > PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(links: serde_json::Value) -> Record {
        let named = json!({ "id": "x" });
        Record::read(json!({
            "metadata": { "namespace": "n", "name": "r" },
            "spec": {
                "grant": { "uid": "r" }, "requester": { "username": "alice" },
                "terms": {
                    "vault": named, "item": named, "recipients": [], "duration": "4h",
                    "viewOnce": false, "linkLifetime": "1h", "renewal": "OnRequest",
                },
                "links": links,
                "end": { "reason": "Expired", "at": "2026-11-30T16:00:00Z" },
            },
        }))
        .unwrap()
    }

    fn link(number: u32, from: &str, until: &str) -> serde_json::Value {
        json!({
            "sequence": number, "outcome": "Issued",
            "intentAt": from, "issuedAt": from, "expiresAt": until, "latestEnd": until,
        })
    }

    fn gaps_of(links: serde_json::Value, at: &str, troubles: &[&str]) -> Gaps {
        let (asked, noted) = (Asked::default(), Troubles::default());
        let at = at.parse().unwrap();
        asked.lock().unwrap().insert("r".to_owned(), vec![at]);
        for trouble in troubles {
            noted.lock().unwrap().push(trouble.parse().unwrap());
        }
        Gaps::of(&[record(links)], &asked, &noted)
    }

    #[test]
    fn a_gap_is_from_the_end_of_a_link_or_the_request_until_the_next_link() {
        let first = link(1, "2026-11-30T12:00:00Z", "2026-11-30T13:00:00Z");
        let second = link(2, "2026-11-30T13:00:30Z", "2026-11-30T14:00:30Z");
        let both = json!([first, second]);
        let gaps = gaps_of(both.clone(), "2026-11-30T12:55:00Z", &[]);
        assert_eq!(
            gaps.times.to_string(),
            "median 30.0 s, longest 30.0 s (1 times)"
        );
        assert_eq!((gaps.unexplained.len(), gaps.unanswered.len()), (1, 0));
        let gaps = gaps_of(both, "2026-11-30T13:00:20Z", &["2026-11-30T13:00:25Z"]);
        assert_eq!(
            gaps.times.to_string(),
            "median 10.0 s, longest 10.0 s (1 times)"
        );
        assert_eq!(gaps.unexplained.len(), 0, "there was a trouble");
        let gaps = gaps_of(json!([first]), "2026-11-30T12:55:00Z", &[]);
        assert_eq!(gaps.times.to_string(), "did not happen");
        assert_eq!(gaps.unanswered.len(), 1);
    }

    /// Records have whole seconds, and a request has not.
    #[test]
    fn a_link_of_the_same_second_answers_the_request() {
        let first = link(1, "2026-11-30T12:00:00Z", "2026-11-30T13:00:00Z");
        let second = link(2, "2026-11-30T12:55:00Z", "2026-11-30T13:55:00Z");
        let gaps = gaps_of(json!([first, second]), "2026-11-30T12:55:00.7Z", &[]);
        assert_eq!(
            gaps.times.to_string(),
            "median 0.0 s, longest 0.0 s (1 times)"
        );
        assert_eq!((gaps.unexplained.len(), gaps.unanswered.len()), (0, 0));
    }
}
