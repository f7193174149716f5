//! Requests that went a moment ago and have no record: decisions on them must not be lost with
//! them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::api::{AccessGrant, Phase};

use super::key::LoanKey;

/// How long the watch of decisions may lag behind that of grants.
const KEPT_FOR: SignedDuration = SignedDuration::from_mins(10);

/// The number of requests that are kept, newest first.
const MOST: usize = 200;

/// The last states of requests, oldest first.
#[derive(Default)]
pub(super) struct DeletedRequests(Mutex<VecDeque<Request>>);

struct Request {
    key: LoanKey,
    grant: Arc<AccessGrant>,
    until: Timestamp,
    /// Whether a pass has looked at it since it went.
    looked_at: bool,
}

impl DeletedRequests {
    /// Takes in a request that has just gone, if a flow covered it and nothing was lent.
    pub(super) fn note(&self, key: LoanKey, grant: &AccessGrant, now: Timestamp) {
        let status = grant.status.as_ref().filter(|s| s.terms.is_some());
        let phase = status.and_then(|s| s.phase);
        let came_to_nothing = [
            Phase::Pending,
            Phase::Issuing,
            Phase::Denied,
            Phase::Lapsed,
            Phase::Failed,
        ];
        if !phase.is_some_and(|phase| came_to_nothing.contains(&phase)) {
            return;
        }
        let until = now.saturating_add(KEPT_FOR).unwrap_or(Timestamp::MAX);
        let grant = Arc::new(grant.clone());
        self.with(|requests| {
            requests.retain(|known| known.until > now && known.key != key);
            if requests.len() >= MOST {
                requests.pop_front();
            }
            requests.push_back(Request {
                key,
                grant,
                until,
                looked_at: false,
            });
        });
    }

    /// The last state of a request, and the time until which it is kept.
    pub(super) fn seen(
        &self,
        key: &LoanKey,
        now: Timestamp,
    ) -> Option<(Arc<AccessGrant>, Timestamp)> {
        self.with(|requests| {
            let known = requests.iter().find(|known| known.key == *key)?;
            (known.until > now).then(|| (known.grant.clone(), known.until))
        })
    }

    /// Whether this is the first look at a request since it went, of one that had no outcome.
    pub(super) fn is_first_look(&self, key: &LoanKey) -> bool {
        self.with(|requests| {
            let known = requests.iter_mut().find(|known| known.key == *key);
            known.is_some_and(|known| {
                let status = known.grant.status.as_ref();
                let had_outcome = status.is_some_and(|status| {
                    let ended = [Phase::Denied, Phase::Lapsed, Phase::Failed];
                    status.phase.is_some_and(|phase| ended.contains(&phase))
                });
                let was_looked_at = std::mem::replace(&mut known.looked_at, true);
                !was_looked_at && !had_outcome
            })
        })
    }

    /// The request with this uid.
    pub(super) fn of_uid(&self, uid: &str) -> Option<LoanKey> {
        self.with(|requests| {
            let known = requests.iter().find(|known| known.key.uid == uid)?;
            Some(known.key.clone())
        })
    }

    /// Forgets a request that needs no more work.
    pub(super) fn forget(&self, key: &LoanKey) {
        self.with(|requests| requests.retain(|known| known.key != *key));
    }

    fn with<T>(&self, act: impl FnOnce(&mut VecDeque<Request>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Key;

    fn key(uid: &str) -> LoanKey {
        LoanKey::new(Key::new("team-a", uid), uid, "keyloan")
    }

    fn grant(phase: &str) -> AccessGrant {
        let object = serde_json::json!({ "namespace": "", "name": "", "uid": "" });
        serde_json::from_value(serde_json::json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant", "metadata": {},
            "spec": { "integration": { "name": "prod" }, "item": { "vault": "v", "item": "i" } },
            "status": { "phase": phase, "terms": {
                "integration": object, "account": "", "flow": object, "flowGeneration": 1,
                "vault": { "id": "", "title": "" }, "item": { "id": "", "title": "" },
                "itemUpdatedAt": "2026-11-23T10:00:00Z", "recipients": [], "duration": "1h",
                "viewOnce": false, "linkLifetime": "1h", "renewal": "Never",
            } },
        }))
        .expect("a grant")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn a_request_that_waited_is_known_for_ten_minutes_after_it_went() {
        let deleted = DeletedRequests::default();
        deleted.note(key("u-1"), &grant("Pending"), at(0));
        deleted.note(key("u-2"), &grant("Ended"), at(0));
        assert!(deleted.seen(&key("u-1"), at(599)).is_some());
        assert!(deleted.seen(&key("u-1"), at(600)).is_none());
        assert_eq!(deleted.of_uid("u-1"), Some(key("u-1")));
        assert_eq!(deleted.of_uid("u-2"), None, "its record tells of it");
        deleted.forget(&key("u-1"));
        assert_eq!(deleted.of_uid("u-1"), None);
    }

    #[test]
    fn a_request_that_went_without_an_outcome_is_looked_at_first_once() {
        let deleted = DeletedRequests::default();
        deleted.note(key("waited"), &grant("Pending"), at(0));
        deleted.note(key("denied"), &grant("Denied"), at(0));
        assert!(deleted.is_first_look(&key("waited")));
        assert!(!deleted.is_first_look(&key("waited")));
        assert!(!deleted.is_first_look(&key("denied")), "it had an outcome");
        assert!(!deleted.is_first_look(&key("unknown")));
    }

    #[test]
    fn of_very_many_the_newest_are_known() {
        let deleted = DeletedRequests::default();
        for number in 0..=MOST {
            deleted.note(key(&number.to_string()), &grant("Pending"), at(0));
        }
        assert_eq!(deleted.of_uid("0"), None);
        assert!(deleted.of_uid("1").is_some() && deleted.of_uid(&MOST.to_string()).is_some());
    }
}
