//! The places that flows have for one requester's loans: who has one, and who may have one because a record was perhaps written.
//!
//! Loans are counted from records, each as long as a link of it may open. Whether a record was written is not known while its
//! creation has not been answered; until the watch or a read has settled it, its place counts as taken, or two requests could
//! both get the last one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedMutexGuard;

use crate::api::{AccessFlow, AccessGrant, AccessGrantStatus, AccessRecord, Phase};
use crate::cluster::{ApiError, ApiErrorKind, Mark, flow_mark, ledger_of, rank_of};
use crate::plan::in_line::Standing;
use crate::plan::observed::{Ahead, Usage};

use super::{LoanKey, Loans};

/// A record that is not there so long after its creation was tried will not come: the API server works on a request for a minute
/// at the most, unless its `--request-timeout` says otherwise.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// Who may have a place.
#[derive(Default)]
pub(super) struct Places {
    /// By requester.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    doubts: Mutex<HashMap<LoanKey, Doubt>>,
}

/// A record of which nobody knows whether it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Doubt {
    requester: String,
    /// The flow's uid.
    flow: String,
    /// When its creation was last tried.
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
    /// To be held while the limits of a flow are checked and a record of this requester's is created, so that two requests cannot both get
    /// the last place.
    pub(super) async fn turn(&self, requester: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for.
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
        trouble: &ApiErrorKind,
        at: Timestamp,
    ) {
        if trouble.may_pass() || *trouble == ApiErrorKind::AlreadyExists {
            let doubt = Doubt {
                requester: record.spec.requester.username.clone(),
                flow: record.spec.terms.flow.uid.clone(),
                since: at,
            };
            self.with(|doubts| doubts.insert(key.clone(), doubt));
        }
    }

    /// Until when it may be that a loan's record was written and is not seen yet, if that may be at all.
    pub(super) fn in_doubt_until(&self, key: &LoanKey) -> Option<Timestamp> {
        self.with(|doubts| doubts.get(key).map(Doubt::settled_at))
    }

    /// Takes in that a loan's record is known, or known not to be there; says whose place was in doubt.
    fn settle(&self, key: &LoanKey) -> Option<String> {
        self.with(|doubts| doubts.remove(key).map(|doubt| doubt.requester))
    }

    /// The loans of this person that may have a place, each with its flow's uid.
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
    /// A loan's record as the watch has told it; read from the API server itself where nobody knows whether it was written.
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

    /// What the requester has by each of these flows, this request not counted; and how many of their requests come before it in line.
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
        // One that has been approved waits for nobody's approval any more.
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

    /// The loans that a person has by each flow, this one not counted.
    fn loans_of(&self, key: &LoanKey, requester: &str) -> HashMap<u64, Usage> {
        let mut taken = HashMap::<u64, Usage>::new();
        // Looked at before the records: what is settled in between is counted by its record.
        let mut may_exist = self.places.of(requester);
        may_exist.retain(|(other, _)| other.ledger == key.ledger && other.uid != key.uid);
        let (by_them, now) = (Mark::Requester(requester.to_owned()), self.clock.now());
        // A record is named by its request's uid.
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

    /// How many of a person's requests wait for approval by each flow, of those that come before this one; and how many are in line before it.
    fn before(
        &self,
        key: &LoanKey,
        grant: &AccessGrant,
        requester: &str,
    ) -> (HashMap<u64, u32>, Ahead) {
        let (mine, has_place) = (rank_of(grant), Standing::of(grant) == Standing::HasPlace);
        let with_place = Mark::WithPlace(requester.to_owned());
        let grants = &self.cluster.grants;
        // In this order requests get their places: whoever has one keeps it, also while the request waits for something else. Times are
        // whole seconds, so of two requests of one second the uid says which one comes first.
        if has_place {
            let before = grants.queue_counts(&with_place, &key.ledger, Some(&mine));
            return (before.waiting, Ahead::default());
        }
        let mut pending = grants.queue_counts(&with_place, &key.ledger, None).waiting;
        let in_line = Mark::InLine(requester.to_owned());
        let before = grants.queue_counts(&in_line, &key.ledger, Some(&mine));
        for (flow, waiting) in before.waiting {
            *pending.entry(flow).or_default() += waiting;
        }
        let ahead = Ahead {
            in_line: before.known,
            new: before.new,
        };
        (pending, ahead)
    }

    /// A request that goes by another flow than before leaves its place in that one to others of its requester.
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
    #[case::no_answer(ApiErrorKind::Timeout, true)]
    #[case::no_usable_answer(ApiErrorKind::Unavailable("502".into()), true)]
    #[case::somebody_was_faster(ApiErrorKind::AlreadyExists, true)]
    #[case::no_right(ApiErrorKind::Forbidden(String::new()), false)]
    #[case::not_as_it_should_be(ApiErrorKind::Invalid(String::new()), false)]
    #[case::no_namespace(ApiErrorKind::NotFound, false)]
    fn what_may_have_been_written_has_a_place(#[case] trouble: ApiErrorKind, #[case] takes: bool) {
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
        places.note(&key("u-1"), &record(), &ApiErrorKind::Timeout, at(0));
        let refused = ApiErrorKind::Forbidden(String::new());
        places.note(&key("u-1"), &record(), &refused, at(5));
        assert_eq!(places.in_doubt_until(&key("u-1")), Some(at(120)));
        places.note(&key("u-1"), &record(), &ApiErrorKind::Timeout, at(5));
        assert_eq!(places.in_doubt_until(&key("u-1")), Some(at(125)));
    }
}
