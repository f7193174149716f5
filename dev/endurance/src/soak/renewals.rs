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
use serde_json::json;

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

/// The gaps in access of loans whose next link was asked for, and the requests without an answer.
pub fn gaps(records: &[Record], asked: &Asked) -> (Times, Vec<String>) {
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut gaps, mut unanswered) = (Times::default(), Vec::new());
    for record in records {
        let issued = record.links().iter();
        let issued: Vec<_> = issued
            .filter(|link| link.outcome() == Some(Outcome::Issued))
            .collect();
        for at in asked.get(record.grant_uid()).into_iter().flatten() {
            let is_before = |link: &&&keyloan_ledger::Link| link.intent_at() < *at;
            let current = issued.iter().rev().find(is_before);
            let next = issued.iter().find(|link| link.intent_at() >= *at);
            let open_until = current.and_then(|link| link.expires_at()).unwrap_or(*at);
            match next.and_then(|link| link.issued_at()) {
                Some(next) => {
                    let gap = next.duration_since(open_until.max(*at));
                    gaps.push(gap.try_into().unwrap_or_default());
                }
                None if ran_on(record, *at) => unanswered.push(format!(
                    "{} asked for a link at {at} and got none",
                    record.named()
                )),
                None => {}
            }
        }
    }
    (gaps, unanswered)
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

    fn gaps_of(links: serde_json::Value, at: &str) -> (String, usize) {
        let asked = Asked::default();
        let at = at.parse().unwrap();
        asked.lock().unwrap().insert("r".to_owned(), vec![at]);
        let (gaps, unanswered) = gaps(&[record(links)], &asked);
        (gaps.to_string(), unanswered.len())
    }

    #[test]
    fn a_gap_is_from_the_end_of_a_link_or_the_request_until_the_next_link() {
        let first = link(1, "2026-11-30T12:00:00Z", "2026-11-30T13:00:00Z");
        let second = link(2, "2026-11-30T13:00:30Z", "2026-11-30T14:00:30Z");
        let (gap, unanswered) = gaps_of(json!([first, second]), "2026-11-30T12:55:00Z");
        assert_eq!(gap, "median 30.0 s, longest 30.0 s (1 times)");
        assert_eq!(unanswered, 0);
        let (gap, _) = gaps_of(json!([first, second]), "2026-11-30T13:00:20Z");
        assert_eq!(gap, "median 10.0 s, longest 10.0 s (1 times)");
        let (gap, unanswered) = gaps_of(json!([first]), "2026-11-30T12:55:00Z");
        assert_eq!((gap.as_str(), unanswered), ("did not happen", 1));
    }
}
