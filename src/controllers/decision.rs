//! The decision controller: deletes decisions whose requests are gone, once a record contains them.
//! A decision in no record is kept as long as a record would be.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::{AccessDecision, AccessRecord};
use crate::cluster::{Cluster, Key, Mark, decided_by};
use crate::plan::ended::RETENTION;
use crate::runtime::{Clock, Outcome, WorkQueue};

/// How long a decision is kept at least: the watch may report it before its request.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);

/// The number of one person's decisions in one namespace that are kept without a record, newest
/// first. Nobody can displace another person's decisions.
const KEPT_OF_ONE: usize = 100;

/// The shared parts of passes over decisions.
pub struct Decisions {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The time.
    pub clock: Clock,
}

impl Decisions {
    /// Schedules a pass for each decision, and another one when its request goes or its record
    /// ends.
    pub fn subscribe(cluster: &Arc<Cluster>, passes: &WorkQueue<Key>) {
        let queue = passes.clone();
        cluster
            .decisions
            .subscribe(move |decision| queue.enqueue(Key::of(decision)));
        let (queue, cluster_of) = (passes.clone(), Arc::downgrade(cluster));
        cluster.grants.subscribe(move |grant| {
            let Some(cluster) = cluster_of.upgrade() else {
                return;
            };
            if cluster.grants.get(&Key::of(grant)).is_some() {
                return;
            }
            ask_those_on(&cluster, &queue, Key::of(grant));
        });
        let (queue, cluster_of) = (passes.clone(), Arc::downgrade(cluster));
        cluster.records.subscribe(move |record: &AccessRecord| {
            let grant = &record.spec.grant;
            if let (true, Some(cluster)) = (record.spec.end.is_some(), cluster_of.upgrade()) {
                ask_those_on(&cluster, &queue, Key::new(&grant.namespace, &grant.name));
            }
        });
    }

    /// Runs one pass over one decision.
    pub async fn pass(self: Arc<Self>, key: Key) -> Outcome {
        let Some(decision) = self.cluster.decisions.get(&key) else {
            return Outcome::Gone;
        };
        if self.is_needed(&decision) {
            return Outcome::Waiting(None);
        }
        let (kept_for, surplus) = match self.is_recorded(&decision) {
            true => (KEPT_FOR, None),
            false => (RETENTION, self.surplus(&decision)),
        };
        let due = made(&decision).saturating_add(kept_for);
        let due = due.unwrap_or(Timestamp::MAX);
        let over = match surplus {
            Some(surplus) => surplus,
            None if self.clock.now() < due => return Outcome::Waiting(Some(due)),
            None => decision,
        };
        match self.cluster.decisions.delete(over.as_ref()).await {
            Ok(()) => Outcome::Applied,
            Err(error) => {
                tracing::warn!(decision = %Key::of(over.as_ref()), %error, "could not delete a \
                     decision; retrying");
                Outcome::Failed
            }
        }
    }

    /// Whether the named request exists, or a loan runs without its request.
    fn is_needed(&self, decision: &AccessDecision) -> bool {
        let namespace = decision.namespace().unwrap_or_default();
        let request = Key::new(namespace, &decision.spec.grant);
        // A loan without its request is ended from its record, and its decisions may still show by
        // whom.
        let runs = || {
            self.records(decision)
                .any(|record| record.spec.end.is_none())
        };
        self.cluster.grants.get(&request).is_some() || runs()
    }

    /// Whether a record contains the outcome of the request that this decision is about.
    fn is_recorded(&self, decision: &AccessDecision) -> bool {
        let uid = &decision.spec.grant_uid;
        let mut served = self.cluster.install.integration_namespaces.iter();
        self.records(decision).next().is_some()
            || served.any(|ns| self.cluster.records.is_history(&Key::new(ns, uid)))
    }

    fn records(&self, decision: &AccessDecision) -> impl Iterator<Item = Arc<AccessRecord>> {
        let of_it = Mark::GrantUid(decision.spec.grant_uid.clone());
        self.cluster.records.having(&of_it).into_iter()
    }

    /// The oldest decision beyond the number that is kept for the same person in this namespace
    /// without a record.
    fn surplus(&self, decision: &AccessDecision) -> Option<Arc<AccessDecision>> {
        let mut kept = self.cluster.decisions.having(&decided_by(decision));
        if kept.len() <= KEPT_OF_ONE {
            return None;
        }
        kept.retain(|other| !self.is_needed(other) && !self.is_recorded(other));
        kept.sort_by_key(|other| Reverse((made(other), other.uid())));
        kept.split_off(kept.len().min(KEPT_OF_ONE)).pop()
    }
}

fn ask_those_on(cluster: &Cluster, passes: &WorkQueue<Key>, grant: Key) {
    let on_it = cluster.decisions.having(&Mark::GrantNamed(grant));
    on_it
        .iter()
        .for_each(|decision| passes.enqueue(Key::of(decision.as_ref())));
}

fn made(decision: &AccessDecision) -> Timestamp {
    let made = decision.creation_timestamp();
    made.map_or(Timestamp::MIN, |time| time.0)
}
