//! The places that flows have for one requester's loans: who has one, and who may have one because a record was perhaps written.
//!
//! Loans are counted from records, each as long as a link of it may open. Whether a record was written is not known while its
//! creation has not been answered; until the watch or a read has settled it, its place counts as taken, or two requests could
//! both get the last one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use tokio::sync::OwnedMutexGuard;

use crate::api::{AccessGrant, AccessGrantStatus, AccessRecord, Phase, Time};
use crate::cluster::{ApiError, Mark, Trouble};
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
        trouble: &Trouble,
        at: Timestamp,
    ) {
        let may_exist = matches!(
            trouble,
            Trouble::Timeout | Trouble::Unavailable(_) | Trouble::AlreadyExists
        );
        if may_exist {
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
            self.ask_rivals(&requester);
        }
        Ok(record)
    }

    /// What the requester has by each flow, this request not counted; and how many of their requests come before it in line, of which at
    /// most so many are counted.
    pub(super) fn usage(
        &self,
        key: &LoanKey,
        grant: &AccessGrant,
        counted: u32,
    ) -> (BTreeMap<String, Usage>, Ahead) {
        let (mut usage, mut ahead) = (BTreeMap::<String, Usage>::new(), Ahead::default());
        let Some(requester) = &grant.spec.requester else {
            return (usage, ahead);
        };
        // Looked at before the records: what is settled in between is counted by its record.
        let in_doubt = self.places.of(&requester.username);
        let by_them = Mark::Requester(requester.username.clone());
        let mut records = self.cluster.records.having(&by_them);
        records.retain(|record| {
            record.namespace().as_deref() == Some(&key.ledger) && record.spec.grant.uid != key.uid
        });
        let known: HashSet<_> = records
            .iter()
            .map(|record| &record.spec.grant.uid)
            .collect();
        let may_exist = in_doubt.into_iter().filter(|(other, _)| {
            other.ledger == key.ledger && other.uid != key.uid && !known.contains(&other.uid)
        });
        let now = self.clock.now();
        for record in &records {
            let by_flow = usage.entry(record.spec.terms.flow.uid.clone());
            by_flow.or_default().count_loan(&record.spec, now);
        }
        for (_, flow) in may_exist {
            usage.entry(flow).or_default().active += 1;
        }
        // One that has been approved waits for nobody's approval any more.
        if grant.status.as_ref().and_then(|s| s.phase) == Some(Phase::Issuing) {
            return (usage, ahead);
        }
        let is_other = |other: &AccessGrant| {
            other.uid().as_deref() != Some(&key.uid)
                && LoanKey::of_grant(other).ledger == key.ledger
        };
        let mut count_pending = |other: &AccessGrant| {
            let flow = other.status.as_ref().and_then(flow_of);
            if let Some(flow) = flow.filter(|_| is_pending(other)) {
                usage.entry(flow.to_owned()).or_default().pending += 1;
            }
        };
        let has_place = Standing::of(grant) == Standing::HasPlace;
        let with_place = Mark::WithPlace(requester.username.clone());
        self.cluster.grants.walk(&with_place, |other| {
            if has_place && turn(other) >= turn(grant) {
                return ControlFlow::Break(());
            }
            if is_other(other) {
                count_pending(other);
            }
            ControlFlow::Continue(())
        });
        if has_place {
            return (usage, ahead);
        }
        let in_line = Mark::InLine(requester.username.clone());
        self.cluster.grants.walk(&in_line, |other| {
            if turn(other) >= turn(grant) || ahead.in_line.saturating_add(ahead.new) >= counted {
                return ControlFlow::Break(());
            }
            if is_other(other) {
                match Standing::of(other) {
                    Standing::New => ahead.new += 1,
                    _ => ahead.in_line += 1,
                }
                count_pending(other);
            }
            ControlFlow::Continue(())
        });
        (usage, ahead)
    }

    /// A request that goes by another flow than before leaves its place in that one to others of its requester.
    pub(super) fn give_up_place(&self, before: &AccessGrant, now: &AccessGrantStatus) {
        let flow_before = before.status.as_ref().and_then(flow_of);
        let has_left = flow_before.is_some_and(|flow| flow_of(now) != Some(flow));
        if let (true, Some(requester)) = (has_left, &before.spec.requester) {
            self.ask_rivals(&requester.username);
        }
    }
}

/// The uid of the flow by which a loan was agreed on.
fn flow_of(status: &AccessGrantStatus) -> Option<&str> {
    status.terms.as_ref().map(|terms| terms.flow.uid.as_str())
}

/// In this order requests get their places: whoever has one keeps it, also while the request waits for something else. Times are whole seconds, so of two requests of one second the uid
/// says which one comes first. The index of the cache has the same order.
fn turn(grant: &AccessGrant) -> (bool, Option<Time>, Option<String>) {
    let has_a_place = Standing::of(grant) == Standing::HasPlace;
    (!has_a_place, grant.creation_timestamp(), grant.uid())
}

fn is_pending(grant: &AccessGrant) -> bool {
    grant.status.as_ref().and_then(|s| s.phase) == Some(Phase::Pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Key;
    use rstest::rstest;

    fn key(uid: &str) -> LoanKey {
        LoanKey {
            grant: Key::new("team-a", "alice-db"),
            uid: uid.into(),
            ledger: "keyloan".into(),
        }
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
    fn who_has_a_place_is_not_displaced_by_another_request_of_the_same_second() {
        let grant = |uid: &str, second: u32, accepted: Option<&str>| -> AccessGrant {
            let conditions = accepted.map(|reason| {
                serde_json::json!({
                    "type": "Accepted", "status": "Unknown", "reason": reason, "message": "",
                    "lastTransitionTime": "2026-11-23T10:00:09Z",
                })
            });
            let terms = accepted.map(|_| record().spec.terms);
            serde_json::from_value(serde_json::json!({
                "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant",
                "metadata": { "name": uid, "uid": uid, "creationTimestamp": format!("2026-11-23T10:00:0{second}Z") },
                "spec": { "integration": { "name": "prod" }, "item": { "vault": "v", "item": "i" } },
                "status": { "phase": "Pending", "conditions": Vec::from_iter(conditions), "terms": terms },
            }))
            .expect("a grant")
        };
        let has_one = grant("z", 0, Some("FlowChosen"));
        let in_order = [
            // As after a restart, until the vaults are listed.
            &grant("y", 0, Some("IntegrationNotReady")),
            &has_one,
            &grant("a", 0, None),
            &grant("b", 0, Some("LimitReached")),
            &grant("0", 1, None),
        ];
        assert!(in_order.is_sorted_by_key(|grant| turn(grant)));
        assert!(
            turn(&grant("a", 0, Some("FlowChosen"))) < turn(&has_one),
            "both got in at once"
        );
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
