//! Places that may be taken, because a record may have been written.
//!
//! Until the creation of a record is answered, it is unknown whether the record exists. Until the watch or a read has settled it, its
//! place counts as taken; otherwise two requests could both get the last place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedMutexGuard;

use crate::api::AccessRecord;
use crate::cluster::ApiErrorKind;

use super::key::LoanKey;

/// A record that does not exist this long after its creation was tried will not appear: the API
/// server works on a request for at most a minute, unless its `--request-timeout` says otherwise.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// The possible places.
#[derive(Default)]
pub(super) struct Places {
    /// By requester.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    doubts: Mutex<HashMap<LoanKey, Doubt>>,
}

/// A record of which it is unknown whether it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Doubt {
    requester: String,
    /// The flow's uid.
    flow: String,
    /// The time of the last attempt to create it.
    since: Timestamp,
}

impl Doubt {
    fn settled_at(&self) -> Timestamp {
        self.since
            .saturating_add(SETTLED_AFTER)
            .unwrap_or(Timestamp::MAX)
    }
}

impl Places {
    /// A lock to hold while a flow's limits are checked and a record of this requester is created,
    /// so that two requests cannot both get the last place.
    pub(super) async fn turn(&self, requester: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            // Removes the locks that nobody holds or waits for.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(requester.to_owned()).or_default().clone()
        };
        turn.lock_owned().await
    }

    /// Takes in how the creation of a loan's record failed.
    pub(super) fn note(
        &self,
        key: &LoanKey,
        record: &AccessRecord,
        kind: &ApiErrorKind,
        at: Timestamp,
    ) {
        if kind.may_pass() || *kind == ApiErrorKind::AlreadyExists {
            let doubt = Doubt {
                requester: record.spec.requester.username.clone(),
                flow: record.spec.terms.flow.uid.clone(),
                since: at,
            };
            self.with(|doubts| doubts.insert(key.clone(), doubt));
        }
    }

    /// The time until which a loan's record may have been written without being seen, if that is
    /// possible.
    pub(super) fn in_doubt_until(&self, key: &LoanKey) -> Option<Timestamp> {
        self.with(|doubts| doubts.get(key).map(Doubt::settled_at))
    }

    /// Takes in that a loan's record is known, or known not to exist; returns the requester whose
    /// place was in doubt.
    pub(super) fn settle(&self, key: &LoanKey) -> Option<String> {
        self.with(|doubts| doubts.remove(key).map(|doubt| doubt.requester))
    }

    /// This person's loans that may have a place, each with its flow's uid.
    pub(super) fn of(&self, requester: &str) -> Vec<(LoanKey, String)> {
        self.with(|doubts| {
            let of_them = doubts
                .iter()
                .filter(|(_, doubt)| doubt.requester == requester);
            of_them
                .map(|(key, doubt)| (key.clone(), doubt.flow.clone()))
                .collect()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<LoanKey, Doubt>) -> T) -> T {
        act(&mut self.doubts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Key;
    use rstest::rstest;

    fn key(uid: &str) -> LoanKey {
        LoanKey::new(Key::new("team-a", "alice-db"), uid, "keyloan")
    }

    fn record() -> AccessRecord {
        let no_one = serde_json::json!({ "namespace": "", "name": "", "uid": "flow-1" });
        let spec = serde_json::json!({
            "grant": no_one,
            "requester": { "username": "alice" },
            "digest": "sha256:x",
            "terms": {
                "integration": no_one, "account": "", "flow": no_one, "flowGeneration": 1,
                "vault": { "id": "", "title": "" }, "item": { "id": "", "title": "" },
                "itemUpdatedAt": "2026-11-23T10:00:00Z", "recipients": [], "duration": "1h",
                "viewOnce": false, "linkLifetime": "1h", "renewal": "Never",
            },
        });
        AccessRecord::new("u-1", serde_json::from_value(spec).expect("a record"))
    }

    #[rstest]
    #[case::no_answer(ApiErrorKind::Timeout, true)]
    #[case::no_usable_answer(ApiErrorKind::Unavailable("502".into()), true)]
    #[case::somebody_was_faster(ApiErrorKind::AlreadyExists, true)]
    #[case::no_right(ApiErrorKind::Forbidden(String::new()), false)]
    #[case::not_as_it_should_be(ApiErrorKind::Invalid(String::new()), false)]
    #[case::no_namespace(ApiErrorKind::NotFound, false)]
    fn what_may_have_been_written_has_a_place(#[case] kind: ApiErrorKind, #[case] takes: bool) {
        let places = Places::default();
        places.note(&key("u-1"), &record(), &kind, Timestamp::UNIX_EPOCH);
        let expected = takes.then(|| (key("u-1"), "flow-1".to_owned()));
        assert_eq!(places.of("alice"), Vec::from_iter(expected));
        assert_eq!(places.of("bob"), []);
        assert_eq!(
            places.settle(&key("u-1")).as_deref(),
            takes.then_some("alice")
        );
        assert_eq!(places.of("alice"), []);
    }

    #[test]
    fn a_refusal_says_nothing_of_the_attempt_before_it_and_another_attempt_begins_the_doubt_anew() {
        let places = Places::default();
        let at = |second| Timestamp::from_second(second).expect("in range");
        places.note(&key("u-1"), &record(), &ApiErrorKind::Timeout, at(0));
        let refused = ApiErrorKind::Forbidden(String::new());
        places.note(&key("u-1"), &record(), &refused, at(5));
        assert_eq!(places.in_doubt_until(&key("u-1")), Some(at(120)));
        places.note(&key("u-1"), &record(), &ApiErrorKind::Timeout, at(5));
        assert_eq!(places.in_doubt_until(&key("u-1")), Some(at(125)));
    }
}
