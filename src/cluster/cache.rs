//! The objects of one kind, as far as they are known: what the watch has told, and what we wrote ourselves since.
//!
//! A watch lags behind. An answer to a write of ours is taken in at once, and what the watch tells later counts only
//! if it is newer: so nobody acts on something older than our own last write.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use tokio::sync::watch;

use super::index::{Index, Mark, Marks};

/// An object's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its namespace; empty for kinds without.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// Of an object in a namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Of an object of a kind without namespaces.
    pub fn cluster_wide(name: impl Into<String>) -> Self {
        Self::new("", name)
    }

    /// Of this object.
    pub fn of(object: &impl Resource) -> Self {
        Self::new(object.namespace().unwrap_or_default(), object.name_any())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// Where kubectl keeps a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

type Subscriber<K> = Box<dyn Fn(&K) + Send + Sync>;

/// The known objects of one kind.
pub struct Cache<K> {
    known: RwLock<Known<K>>,
    subscribers: RwLock<Vec<Subscriber<K>>>,
    /// How many streams have not told everything yet.
    pending: watch::Sender<usize>,
}

struct Known<K> {
    objects: HashMap<Arc<Key>, Arc<K>>,
    index: Index<K>,
    /// The uids of objects that we deleted and whose end the watch has not told yet.
    deleted: HashMap<Key, String>,
    /// What we wrote since the last listing began: it need not be in that list.
    written: HashSet<Key>,
}

/// One stream's way into a cache: it owns the objects of one namespace, or all.
pub(super) struct Feed<K> {
    cache: Arc<Cache<K>>,
    scope: Option<String>,
    listing: Option<HashMap<Key, Arc<K>>>,
    synced: bool,
}

impl<K: Resource> Cache<K> {
    /// An empty one that so many streams will feed, of objects with these marks.
    pub(super) fn new(streams: usize, marks: Marks<K>) -> Self {
        let known = Known {
            objects: HashMap::new(),
            index: Index::new(marks),
            deleted: HashMap::new(),
            written: HashSet::new(),
        };
        Self {
            known: RwLock::new(known),
            subscribers: RwLock::default(),
            pending: watch::Sender::new(streams),
        }
    }

    /// The object of this key.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .objects
            .get(key)
            .cloned()
    }

    /// All objects for which `wanted` holds.
    pub fn select(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .objects
            .values()
            .filter(|object| wanted(object))
            .cloned()
            .collect()
    }

    /// All objects with this mark.
    pub fn having(&self, mark: &Mark) -> Vec<Arc<K>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let keys = known.index.having(mark);
        keys.filter_map(|key| known.objects.get(key).cloned())
            .collect()
    }

    /// All objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.select(|object| object.meta().namespace.as_deref() == Some(namespace))
    }

    /// Has `notice` called, from now on, with every object that appears, changes or goes (then as it was last).
    pub fn subscribe(&self, notice: impl Fn(&K) + Send + Sync + 'static) {
        let mut subscribers = self
            .subscribers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.push(Box::new(notice));
    }

    /// Whether every stream has told everything once.
    pub fn is_synced(&self) -> bool {
        *self.pending.borrow() == 0
    }

    /// Waits until every stream has told everything once.
    pub async fn synced(&self) {
        // The sender lives as long as self.
        self.pending
            .subscribe()
            .wait_for(|pending| *pending == 0)
            .await
            .ok();
    }

    /// Takes in what the API server answered to a write of ours.
    pub(super) fn remember(&self, mut object: K) -> Arc<K> {
        prune(&mut object);
        let (key, object) = (Key::of(&object), Arc::new(object));
        let mut known = self.write();
        known.written.insert(key.clone());
        let taken = known.take(key, object.clone());
        drop(known);
        if taken {
            self.tell(&object);
        }
        object
    }

    /// Takes in that we deleted the object of this uid.
    pub(super) fn forget(&self, key: &Key, uid: &str) {
        let mut known = self.write();
        known.deleted.insert(key.clone(), uid.to_owned());
        let is_it = known
            .objects
            .get(key)
            .is_some_and(|object| is(object.as_ref(), uid));
        let gone = if is_it { known.remove(key) } else { None };
        drop(known);
        gone.iter().for_each(|object| self.tell(object));
    }

    fn tell(&self, object: &K) {
        let subscribers = self
            .subscribers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.iter().for_each(|notice| notice(object));
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known<K>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Resource> Known<K> {
    /// Takes an object in unless a newer one is known; says whether it was news.
    fn take(&mut self, key: Key, object: Arc<K>) -> bool {
        let ended = self
            .deleted
            .get(&key)
            .is_some_and(|uid| is(object.as_ref(), uid));
        let known = self.objects.get(&key).map(|known| version(known.as_ref()));
        if ended || known.is_some_and(|known| known >= version(object.as_ref())) {
            return false;
        }
        self.deleted.remove(&key);
        self.remove(&key);
        let key = Arc::new(key);
        self.index.add(&key, &object);
        self.objects.insert(key, object);
        true
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<K>> {
        let (key, object) = self.objects.remove_entry(key)?;
        self.index.remove(&key, &object);
        Some(object)
    }
}

impl<K: Resource> Feed<K> {
    pub(super) fn new(cache: Arc<Cache<K>>, scope: Option<String>) -> Self {
        Self {
            cache,
            scope,
            listing: None,
            synced: false,
        }
    }

    /// Takes in what the watch has told.
    pub(super) fn take(&mut self, event: Event<K>) {
        match event.modify(prune) {
            Event::Init => {
                self.listing = Some(HashMap::new());
                let scope = self.scope.clone();
                self.cache
                    .write()
                    .written
                    .retain(|key| !in_scope(scope.as_deref(), key));
            }
            Event::InitApply(object) => {
                if let Some(listing) = &mut self.listing {
                    listing.insert(Key::of(&object), Arc::new(object));
                }
            }
            Event::InitDone => self.end_listing(),
            Event::Apply(object) => {
                let object = Arc::new(object);
                let taken = self
                    .cache
                    .write()
                    .take(Key::of(object.as_ref()), object.clone());
                if taken {
                    self.cache.tell(&object);
                }
            }
            Event::Delete(object) => self.delete(&object),
        }
    }

    /// All has been told that can be, for now.
    pub(super) fn count_as_told(&mut self) {
        if !self.synced {
            self.synced = true;
            self.cache.pending.send_modify(|pending| *pending -= 1);
        }
    }

    fn end_listing(&mut self) {
        let listing = self.listing.take().unwrap_or_default();
        let mut known = self.cache.write();
        let gone: Vec<Arc<Key>> = known
            .objects
            .keys()
            .filter(|key| in_scope(self.scope.as_deref(), key))
            .filter(|key| {
                !listing.contains_key(key.as_ref()) && !known.written.contains(key.as_ref())
            })
            .cloned()
            .collect();
        let mut news: Vec<Arc<K>> = gone.iter().filter_map(|key| known.remove(key)).collect();
        known.deleted.retain(|key, _| listing.contains_key(key));
        for (key, object) in listing {
            if known.take(key, object.clone()) {
                news.push(object);
            }
        }
        drop(known);
        self.count_as_told();
        news.iter().for_each(|object| self.cache.tell(object));
    }

    fn delete(&self, object: &K) {
        let key = Key::of(object);
        let mut known = self.cache.write();
        if known.deleted.get(&key).is_some_and(|uid| is(object, uid)) {
            known.deleted.remove(&key);
        }
        let is_older = |known: &Arc<K>| version(known.as_ref()) <= version(object);
        let gone = match known.objects.get(&key) {
            Some(known_object) if is_older(known_object) => known.remove(&key),
            _ => None,
        };
        drop(known);
        gone.iter().for_each(|object| self.cache.tell(object));
    }
}

/// Drops what is large and of no use to us. What was pruned is never written back as a whole.
fn prune<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

fn in_scope(scope: Option<&str>, key: &Key) -> bool {
    scope.is_none_or(|namespace| namespace == key.namespace)
}

fn is(object: &impl Resource, uid: &str) -> bool {
    object.meta().uid.as_deref() == Some(uid)
}

/// Resource versions are decimal numbers that grow (since Kubernetes 1.35 by contract, before that in fact).
fn version(object: &impl Resource) -> u128 {
    object
        .meta()
        .resource_version
        .as_deref()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
