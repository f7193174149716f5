//! What a requester has by each flow, and which of their requests come first: counted from records and requests, each as long as a
//! link of it may open.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::api::{AccessFlow, AccessGrant, AccessGrantStatus, AccessRecord, Phase};
use crate::cluster::{ApiError, Mark, Rank, flow_mark, ledger_of, rank_of};
use crate::plan::observed::{Ahead, Usage};
use crate::plan::request_state::RequestState;

use super::key::LoanKey;
use super::loans::Loans;
use super::waiting::Line;

/// A person's requests that precede one of them.
#[derive(Default)]
struct Before {
    /// The number that have a place in each flow.
    with_place: HashMap<u64, u32>,
    /// This one's rank among those that wait for a place, if it has none.
    waits_as: Option<Rank>,
    /// The number in line.
    ahead: Ahead,
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
            self.ask_waiting(&requester, None);
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
        let before = match is_approved {
            true => Before::default(),
            false => self.before(key, grant, &requester.username),
        };
        let of = |flow: &Arc<AccessFlow>| {
            let uid = flow.metadata.uid.clone()?;
            let mark = flow_mark(&uid);
            let mut usage = taken.get(&mark).copied().unwrap_or_default();
            usage.pending = before.with_place.get(&mark).copied().unwrap_or_default();
            if let Some(rank) = &before.waits_as {
                // More than the limit make no difference.
                let most = flow.spec.limits.pending_per_requester;
                let line = Line::of(
                    &requester.username,
                    &key.ledger,
                    flow.metadata.name.as_deref(),
                );
                usage.pending += self.waiting.before(&line, rank, most);
            }
            Some((uid, usage))
        };
        (flows.iter().filter_map(of).collect(), before.ahead)
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

    /// A person's requests that precede this one.
    fn before(&self, key: &LoanKey, grant: &AccessGrant, requester: &str) -> Before {
        let (mine, has_place) = (
            rank_of(grant),
            RequestState::of(grant) == RequestState::HasPlace,
        );
        let with_place = Mark::WithPlace(requester.to_owned());
        let grants = &self.cluster.grants;
        // The order in which requests get their places. A request that has one keeps it, even while
        // it waits for something else. Times are in whole seconds, so the uid decides between two
        // requests of one second.
        if has_place {
            let before = grants.queue_counts(&with_place, &key.ledger, Some(&mine));
            return Before {
                with_place: before.waiting,
                ..Before::default()
            };
        }
        let with_place = grants.queue_counts(&with_place, &key.ledger, None).waiting;
        let in_line = Mark::InLine(requester.to_owned());
        let before = grants.queue_counts(&in_line, &key.ledger, Some(&mine));
        Before {
            with_place,
            waits_as: Some(mine),
            ahead: Ahead {
                in_line: before.known,
                new: before.new,
            },
        }
    }

    /// A request that uses another flow than before leaves its place in the old one to others of
    /// its requester.
    pub(super) fn give_up_place(&self, before: &AccessGrant, now: &AccessGrantStatus) {
        let flow = |status: &AccessGrantStatus| status.terms.as_ref().map(|t| t.flow.clone());
        let left = before.status.as_ref().and_then(flow);
        let left = left.filter(|left| flow(now).is_none_or(|now| now.uid != left.uid));
        if let (Some(left), Some(requester)) = (left, &before.spec.requester) {
            let place = (ledger_of(before), left.name.as_str());
            self.ask_waiting(&requester.username, Some(place));
        }
    }
}
