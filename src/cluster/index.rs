//! Finds objects by what they have in common: without an index, each pass would look through all
//! objects of a kind.
//!
//! The objects with a mark are kept in order, in a partition for each person, so that a pass can
//! read the first or the newest few of any number.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use kube::ResourceExt;

use super::key::Key;
use super::partition::{Entry, Partitions, Rank, Tally};
use crate::api::{AccessDecision, AccessGrant, AccessRecord, Decision, Identity, Phase};
use crate::plan::observed::Place;
use crate::plan::record::is_in_its_ledger;
use crate::plan::request_state::RequestState;

/// Something that objects have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The loans of this requester, by username.
    Requester(String),
    /// The requests of this person, by username, that have a place within a flow's limits.
    WithPlace(String),
    /// The requests of this person, by username, that have no place.
    InLine(String),
    /// The objects in this namespace.
    Namespace(String),
    /// The objects that name a grant with this name, including a former one.
    GrantNamed(Key),
    /// The objects about the grant with this uid.
    GrantUid(String),
    /// The records of requests of a person with this name or address that were not granted.
    UnlentTo(String),
    /// The decisions in this namespace of the approver with this username.
    DecidedBy(Key),
}

/// An object's place among those with a mark.
pub(super) struct Marked {
    mark: Mark,
    /// The objects of one partition are ordered among themselves.
    partition: String,
    rank: Rank,
    tally: Tally,
}

/// A flow's uid in [`QueueCounts`](super::QueueCounts).
pub fn flow_mark(uid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    hasher.finish()
}

/// Computes the marks of a kind's objects.
pub(super) type Marks<K> = fn(&K) -> Vec<Marked>;

/// The objects by mark.
pub(super) struct Index<K> {
    marks: Marks<K>,
    partitions: HashMap<Mark, Partitions<K>>,
}

impl<K> Index<K> {
    pub(super) fn new(marks: Marks<K>) -> Self {
        Self {
            marks,
            partitions: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, key: &Arc<Key>, object: &Arc<K>) {
        for marked in (self.marks)(object) {
            let placed = Entry {
                rank: marked.rank,
                key: key.clone(),
                tally: marked.tally,
                object: object.clone(),
            };
            let partitions = self.partitions.entry(marked.mark).or_default();
            partitions.insert(marked.partition, placed);
        }
    }

    pub(super) fn remove(&mut self, key: &Arc<Key>, object: &K) {
        for marked in (self.marks)(object) {
            let Marked {
                mark,
                partition,
                rank,
                ..
            } = marked;
            let Some(partitions) = self.partitions.get_mut(&mark) else {
                continue;
            };
            partitions.remove(&partition, rank, key);
            if partitions.is_empty() {
                self.partitions.remove(&mark);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// The objects with this mark, if there are any.
    pub(super) fn of(&self, mark: &Mark) -> impl Iterator<Item = &Partitions<K>> {
        self.partitions.get(mark).into_iter()
    }
}

/// Objects that are found only by name.
pub(super) fn unmarked<K>(_: &K) -> Vec<Marked> {
    Vec::new()
}

/// In the only partition, by creation time.
pub(super) fn marked(mark: Mark, object: &impl ResourceExt, tie: Option<String>) -> Marked {
    Marked {
        mark,
        partition: String::new(),
        rank: rank(object, tie),
        tally: Tally::default(),
    }
}

fn rank(object: &impl ResourceExt, tie: Option<String>) -> Rank {
    let made = object.meta().creation_timestamp.as_ref();
    let second = made.map_or(i64::MIN, |made| made.0.as_second());
    (second, tie.unwrap_or_default())
}

/// A request's rank in its partition.
pub fn rank_of(grant: &AccessGrant) -> Rank {
    rank(grant, grant.uid())
}

/// The namespace of the requested integration, which is a request's partition.
pub fn ledger_of(grant: &AccessGrant) -> &str {
    let named = grant.spec.integration.namespace.as_deref();
    let own = grant.metadata.namespace.as_deref();
    named.or(own).unwrap_or_default()
}

/// A denied request is found only by name: no change triggers a pass over it.
pub(super) fn of_grant(grant: &AccessGrant) -> Vec<Marked> {
    if RequestState::was_turned_away(grant) {
        return Vec::new();
    }
    let namespace = Mark::Namespace(grant.namespace().unwrap_or_default());
    let requester = grant.spec.requester.as_ref().map(|by| by.username.clone());
    let standing = RequestState::of(grant);
    let stands = requester.and_then(|requester| match standing {
        RequestState::HasPlace => Some(Mark::WithPlace(requester)),
        RequestState::InLine | RequestState::New => Some(Mark::InLine(requester)),
        RequestState::Lent
        | RequestState::Closed { .. }
        | RequestState::TurnedAway { .. }
        | RequestState::Deleted => None,
    });
    let stands = stands.map(|mark| Marked {
        partition: ledger_of(grant).to_owned(),
        tally: tally(grant, standing),
        ..marked(mark, grant, grant.uid())
    });
    let here = marked(namespace, grant, grant.uid());
    stands.into_iter().chain([here]).collect()
}

fn tally(grant: &AccessGrant, standing: RequestState) -> Tally {
    let status = grant.status.as_ref();
    let pending = status.filter(|status| status.phase == Some(Phase::Pending));
    let terms = pending.and_then(|status| status.terms.as_ref());
    Tally {
        waits_by: terms.map(|terms| flow_mark(&terms.flow.uid)),
        is_new: standing == RequestState::New,
        place: None,
    }
}

/// Each person's decisions of each kind have a partition of their own, so that they hide neither
/// another person's decisions, nor Approves a Deny.
pub(super) fn of_decision(decision: &AccessDecision) -> Vec<Marked> {
    let namespace = decision.namespace().unwrap_or_default();
    let mark = Mark::GrantNamed(Key::new(namespace, &decision.spec.grant));
    let by = decision.spec.approver.as_ref();
    let by = by.map_or("", |by| by.username.as_str());
    let kind = match decision.spec.decision {
        Decision::Approve => "approve",
        Decision::Deny => "deny",
        Decision::Revoke => "revoke",
    };
    let on_it = Marked {
        partition: format!("{kind} {by}"),
        ..marked(mark, decision, decision.metadata.name.clone())
    };
    vec![
        on_it,
        marked(decided_by(decision), decision, decision.uid()),
    ]
}

/// The mark of all decisions by the same person in the same namespace.
pub fn decided_by(decision: &AccessDecision) -> Mark {
    let namespace = decision.namespace().unwrap_or_default();
    let by = decision.spec.approver.as_ref();
    let by = by.map_or("", |by| by.username.as_str());
    Mark::DecidedBy(Key::new(namespace, by))
}

/// The marks of the records of all of a person's requests that were not granted: each record has one
/// of them.
pub fn unlent_to(person: &Identity) -> Vec<Mark> {
    let address = person.email.as_ref().map(|email| email.0.as_str());
    let names = std::iter::once(person.username.as_str()).chain(address);
    let names: BTreeSet<_> = names.map(str::to_lowercase).collect();
    names.into_iter().map(Mark::UnlentTo).collect()
}

/// The record of a request that was not granted has other marks than a loan: it takes no place. A
/// record outside its ledger stands for nothing, so it is found only by name.
pub(super) fn of_record(record: &AccessRecord) -> Vec<Marked> {
    if !is_in_its_ledger(record) {
        return Vec::new();
    }
    let spec = &record.spec;
    let about = marked(Mark::GrantUid(spec.grant.uid.clone()), record, None);
    let Some(place) = Place::of(spec) else {
        let marks = unlent_to(&spec.requester).into_iter();
        let unlent = marks.map(|mark| marked(mark, record, None));
        return unlent.chain([about]).collect();
    };
    let lent = Marked {
        partition: record.namespace().unwrap_or_default(),
        tally: Tally {
            place: Some((flow_mark(&spec.terms.flow.uid), place)),
            ..Tally::default()
        },
        ..marked(
            Mark::Requester(spec.requester.username.clone()),
            record,
            None,
        )
    };
    vec![lent, about]
}

/// Keeps of a denied request only what is needed to delete it in time.
pub(super) fn thin(grant: &mut AccessGrant) {
    if !RequestState::was_turned_away(grant) {
        return;
    }
    grant.metadata.annotations = None;
    grant.metadata.labels = None;
    let spec = &mut grant.spec;
    (spec.justification, spec.recipients, spec.flow) = (None, None, None);
    spec.requester = None;
    if let Some(status) = &mut grant.status {
        status.considered_flows = Vec::new();
        status.terms = None;
        for condition in &mut status.conditions {
            condition.message = String::new();
        }
    }
}
