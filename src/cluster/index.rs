//! What objects can be found by besides their names: without it, each pass would look through all objects of a kind.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::ResourceExt;

use super::cache::Key;
use crate::api::{AccessDecision, AccessGrant, AccessRecord};

/// Something that objects have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// They were asked for by this person, by username.
    Requester(String),
    /// They are in this namespace.
    Namespace(String),
    /// They name the grant of this name, or a former one.
    GrantNamed(Key),
    /// They are about the grant of this uid.
    GrantUid(String),
}

/// The marks of a kind's objects.
pub(super) type Marks<K> = fn(&K) -> Vec<Mark>;

/// Which objects have which mark.
pub(super) struct Index<K> {
    marks: Marks<K>,
    keys: HashMap<Mark, HashSet<Arc<Key>>>,
}

impl<K> Index<K> {
    pub(super) fn new(marks: Marks<K>) -> Self {
        Self {
            marks,
            keys: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, key: &Arc<Key>, object: &K) {
        for mark in (self.marks)(object) {
            self.keys.entry(mark).or_default().insert(key.clone());
        }
    }

    pub(super) fn remove(&mut self, key: &Key, object: &K) {
        for mark in (self.marks)(object) {
            let Some(keys) = self.keys.get_mut(&mark) else {
                continue;
            };
            keys.remove(key);
            if keys.is_empty() {
                self.keys.remove(&mark);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys of the objects with this mark.
    pub(super) fn having(&self, mark: &Mark) -> impl Iterator<Item = &Key> {
        self.keys.get(mark).into_iter().flatten().map(AsRef::as_ref)
    }
}

/// Objects that are found by their names only.
pub(super) fn unmarked<K>(_: &K) -> Vec<Mark> {
    Vec::new()
}

pub(super) fn of_grant(grant: &AccessGrant) -> Vec<Mark> {
    let requester = grant.spec.requester.as_ref();
    let requester = requester.map(|by| Mark::Requester(by.username.clone()));
    let namespace = Mark::Namespace(grant.namespace().unwrap_or_default());
    requester.into_iter().chain([namespace]).collect()
}

pub(super) fn of_decision(decision: &AccessDecision) -> Vec<Mark> {
    let namespace = decision.namespace().unwrap_or_default();
    vec![Mark::GrantNamed(Key::new(namespace, &decision.spec.grant))]
}

pub(super) fn of_record(record: &AccessRecord) -> Vec<Mark> {
    vec![
        Mark::Requester(record.spec.requester.username.clone()),
        Mark::GrantUid(record.spec.grant.uid.clone()),
    ]
}
