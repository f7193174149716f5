//! The places that flows have for one requester's loans: taken ones, and possible ones because a
//! record may have been written.
//!
//! Loans are counted from records, each as long as a link of it may open. Until the creation of a
//! record is answered, it is unknown whether the record exists. Until the watch or a read has
//! settled it, its place counts as taken; otherwise two requests could both get the last place.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedMutexGuard;

use crate::api::{AccessFlow, AccessGrant, AccessGrantStatus, AccessRecord, Phase};
use crate::cluster::{ApiError, Mark, Trouble, flow_mark, ledger_of, rank_of};
use crate::plan::in_line::Standing;
use crate::plan::observed::{Ahead, Usage};

use super::{LoanKey, Loans};

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
        trouble: &Trouble,
        at: Timestamp,
    ) {
        if trouble.may_pass() || *trouble == Trouble::AlreadyExists {
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
    fn settle(&self, key: &LoanKey) -> Option<String> {
        self.with(|doubts| doubts.remove(key).map(|doubt| doubt.requester))
    }

    /// This person's loans that may have a place, each with its flow's uid.
    fn of(&self, requester: &str) -> Vec<(LoanKey, String)> {
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

impl Loans {
    /// A loan's record according to the watch; read from the API server itself if it is unknown
    /// whether it was written.
    pub(super) async fn record_seen(
        &self,
        key: &LoanKey,
    ) -> Result<Option<Arc<AccessRecord>>, ApiError> {
        let told = self.cluster.records.get(&key.record());
        let Some(doubtful_until) = self.places.in_doubt_until(key) else {
            return Ok(told);
        };
        let asked_at = self.clock.now();
        let record = match told {
            Some(record) => Some(record),
            None => self.cluster.records.live(&key.record()).await?,
        };
        if (record.is_some() || asked_at >= doubtful_until)
            && let Some(requester) = self.places.settle(key)
            && record.is_none()
        {
            self.ask_rivals(&requester, None);
        }
        Ok(record)
    }

    /// The requester's usage of each of these flows, without this request, and the number of their
    /// requests that precede it in line.
    pub(super) fn usage(
        &self,
        key: &LoanKey,
        grant: &AccessGrant,
        flows: &[Arc<AccessFlow>],
    ) -> (BTreeMap<String, Usage>, Ahead) {
        let Some(requester) = &grant.spec.requester else {
            return Default::default();
        };
        let taken = self.loans_of(key, &requester.username);
        // An approved request no longer waits for approval.
        let is_approved = grant.status.as_ref().and_then(|s| s.phase) == Some(Phase::Issuing);
        let (pending, ahead) = match is_approved {
            true => Default::default(),
            false => self.before(key, grant, &requester.username),
        };
        let uids = flows.iter().filter_map(|flow| flow.metadata.uid.clone());
        let of = |uid: &String| {
            let flow = flow_mark(uid);
            let taken = taken.get(&flow).copied().unwrap_or_default();
            Usage {
                pending: pending.get(&flow).copied().unwrap_or_default(),
                ..taken
            }
        };
        let usage = uids.map(|uid| (uid.clone(), of(&uid))).collect();
        (usage, ahead)
    }

    /// A person's loans by flow, without this one.
    fn loans_of(&self, key: &LoanKey, requester: &str) -> HashMap<u64, Usage> {
        let mut taken = HashMap::<u64, Usage>::new();
        // Read before the records: a record that is settled in between is counted as such.
        let mut may_exist = self.places.of(requester);
        may_exist.retain(|(other, _)| other.ledger == key.ledger && other.uid != key.uid);
        let (by_them, now) = (Mark::Requester(requester.to_owned()), self.clock.now());
        // A record's name is its request's uid.
        let records = &self.cluster.records;
        records.places(&by_them, &key.ledger, |record, flow, place| {
            if record.name != key.uid {
                may_exist.retain(|(other, _)| other.uid != record.name);
                taken.entry(flow).or_default().count(place, now);
            }
        });
        for (_, flow) in may_exist {
            taken.entry(flow_mark(&flow)).or_default().active += 1;
        }
        taken
    }

    /// The number of a person's requests that wait for approval through each flow and precede this
    /// one, and the number that precede it in line.
    fn before(
        &self,
        key: &LoanKey,
        grant: &AccessGrant,
        requester: &str,
    ) -> (HashMap<u64, u32>, Ahead) {
        let (mine, has_place) = (rank_of(grant), Standing::of(grant) == Standing::HasPlace);
        let with_place = Mark::WithPlace(requester.to_owned());
        let grants = &self.cluster.grants;
        // The order in which requests get their places. A request that has one keeps it, even while
        // it waits for something else. Times are in whole seconds, so the uid decides between two
        // requests of one second.
        if has_place {
            let before = grants.line(&with_place, &key.ledger, Some(&mine));
            return (before.waiting, Ahead::default());
        }
        let mut pending = grants.line(&with_place, &key.ledger, None).waiting;
        let in_line = Mark::InLine(requester.to_owned());
        let before = grants.line(&in_line, &key.ledger, Some(&mine));
        for (flow, waiting) in before.waiting {
            *pending.entry(flow).or_default() += waiting;
        }
        let ahead = Ahead {
            in_line: before.known,
            new: before.new,
        };
        (pending, ahead)
    }

    /// A request that uses another flow than before leaves its place in the old one to others of
    /// its requester.
    pub(super) fn give_up_place(&self, before: &AccessGrant, now: &AccessGrantStatus) {
        let flow = |status: &AccessGrantStatus| status.terms.as_ref().map(|t| t.flow.clone());
        let left = before.status.as_ref().and_then(flow);
        let left = left.filter(|left| flow(now).is_none_or(|now| now.uid != left.uid));
        if let (Some(left), Some(requester)) = (left, &before.spec.requester) {
            let place = (ledger_of(before), left.name.as_str());
            self.ask_rivals(&requester.username, Some(place));
        }
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
    #[case::no_answer(Trouble::Timeout, true)]
    #[case::no_usable_answer(Trouble::Unavailable("502".into()), true)]
    #[case::somebody_was_faster(Trouble::AlreadyExists, true)]
    #[case::no_right(Trouble::Forbidden(String::new()), false)]
    #[case::not_as_it_should_be(Trouble::Invalid(String::new()), false)]
    #[case::no_namespace(Trouble::NotFound, false)]
    fn what_may_have_been_written_has_a_place(#[case] trouble: Trouble, #[case] takes: bool) {
        let places = Places::default();
        places.note(&key("u-1"), &record(), &trouble, Timestamp::UNIX_EPOCH);
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
        places.note(&key("u-1"), &record(), &Trouble::Timeout, at(0));
        let refused = Trouble::Forbidden(String::new());
        places.note(&key("u-1"), &record(), &refused, at(5));
        assert_eq!(places.in_doubt_until(&key("u-1")), Some(at(120)));
        places.note(&key("u-1"), &record(), &Trouble::Timeout, at(5));
        assert_eq!(places.in_doubt_until(&key("u-1")), Some(at(125)));
    }
}
