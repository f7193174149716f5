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
    objects: HashMap<Key, Arc<K>>,
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
    /// An empty one that so many streams will feed.
    pub(super) fn new(streams: usize) -> Self {
        let known = Known {
            objects: HashMap::new(),
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
        let gone = if is_it {
            known.objects.remove(key)
        } else {
            None
        };
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
        self.objects.insert(key, object);
        true
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
        let gone: Vec<Key> = known
            .objects
            .keys()
            .filter(|key| in_scope(self.scope.as_deref(), key))
            .filter(|key| !listing.contains_key(key) && !known.written.contains(key))
            .cloned()
            .collect();
        let mut news: Vec<Arc<K>> = gone
            .iter()
            .filter_map(|key| known.objects.remove(key))
            .collect();
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
            Some(known_object) if is_older(known_object) => known.objects.remove(&key),
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
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use std::sync::Mutex;

    fn object(name: &str, uid: &str, version: u32) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some("ns".into());
        object.metadata.name = Some(name.into());
        object.metadata.uid = Some(uid.into());
        object.metadata.resource_version = Some(version.to_string());
        object
    }

    type Told = Arc<Mutex<Vec<String>>>;

    fn synced() -> (Arc<Cache<ConfigMap>>, Feed<ConfigMap>, Told) {
        let cache = Arc::new(Cache::new(1));
        let mut feed = Feed::new(cache.clone(), None);
        feed.take(Event::Init);
        feed.take(Event::InitDone);
        let told = Arc::new(Mutex::new(vec![]));
        let log = told.clone();
        cache.subscribe(move |object: &ConfigMap| {
            log.lock()
                .expect("fine")
                .push(format!("{}@{}", object.name_any(), version(object)));
        });
        (cache, feed, told)
    }

    fn seen(cache: &Cache<ConfigMap>, name: &str) -> Option<u128> {
        cache
            .get(&Key::new("ns", name))
            .map(|object| version(object.as_ref()))
    }

    #[test]
    fn what_we_wrote_stands_until_the_watch_knows_something_newer() {
        let (cache, mut feed, told) = synced();
        cache.remember(object("a", "u1", 5));
        feed.take(Event::Apply(object("a", "u1", 4)));
        assert_eq!(seen(&cache, "a"), Some(5));
        feed.take(Event::Apply(object("a", "u1", 5)));
        feed.take(Event::Apply(object("a", "u1", 6)));
        assert_eq!(seen(&cache, "a"), Some(6));
        assert_eq!(
            *told.lock().expect("fine"),
            ["a@5", "a@6"],
            "each change is told once"
        );
    }

    #[test]
    fn what_we_deleted_does_not_come_back_but_its_namesake_does() {
        let (cache, mut feed, _) = synced();
        feed.take(Event::Apply(object("a", "u1", 1)));
        cache.forget(&Key::new("ns", "a"), "u1");
        feed.take(Event::Apply(object("a", "u1", 2)));
        assert_eq!(seen(&cache, "a"), None);
        feed.take(Event::Delete(object("a", "u1", 3)));
        feed.take(Event::Apply(object("a", "u2", 4)));
        assert_eq!(seen(&cache, "a"), Some(4));
    }

    #[test]
    fn the_end_of_an_earlier_object_does_not_end_its_namesake() {
        let (cache, mut feed, _) = synced();
        cache.remember(object("a", "u2", 9));
        feed.take(Event::Delete(object("a", "u1", 8)));
        assert_eq!(seen(&cache, "a"), Some(9));
    }

    #[test]
    fn a_listing_drops_what_is_gone_but_not_what_we_wrote_while_it_was_made() {
        let (cache, mut feed, told) = synced();
        feed.take(Event::Apply(object("gone", "u1", 1)));
        feed.take(Event::Apply(object("kept", "u2", 2)));
        feed.take(Event::Init);
        cache.remember(object("ours", "u3", 3));
        feed.take(Event::InitApply(object("kept", "u2", 2)));
        assert_eq!(
            seen(&cache, "gone"),
            Some(1),
            "not before the list is complete"
        );
        feed.take(Event::InitDone);
        let all = ["gone", "kept", "ours"].map(|name| seen(&cache, name));
        assert_eq!(all, [None, Some(2), Some(3)]);
        assert_eq!(
            *told.lock().expect("fine"),
            ["gone@1", "kept@2", "ours@3", "gone@1"]
        );
    }

    #[test]
    fn what_is_large_and_of_no_use_is_not_kept() {
        let (cache, mut feed, _) = synced();
        let large = |name: &str| {
            let mut large = object(name, name, 1);
            large.metadata.managed_fields = Some(vec![Default::default()]);
            let annotations = [(LAST_APPLIED, "{}"), ("mine", "x")];
            let own = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
            large.metadata.annotations = Some(own.into());
            large
        };
        feed.take(Event::Apply(large("a")));
        cache.remember(large("b"));
        for name in ["a", "b"] {
            let kept = cache.get(&Key::new("ns", name)).expect("kept");
            assert_eq!(kept.metadata.managed_fields, None);
            assert_eq!(kept.annotations().keys().collect::<Vec<_>>(), ["mine"]);
        }
    }

    #[test]
    fn a_stream_of_one_namespace_leaves_the_others_alone() {
        let cache = Arc::new(Cache::new(2));
        let (mut one, mut other) = (
            Feed::new(cache.clone(), Some("ns".into())),
            Feed::new(cache.clone(), Some("x".into())),
        );
        one.take(Event::Init);
        one.take(Event::InitApply(object("a", "u1", 1)));
        one.take(Event::InitDone);
        assert!(!cache.is_synced());
        other.take(Event::Init);
        other.take(Event::InitDone);
        assert!(cache.is_synced());
        assert_eq!(seen(&cache, "a"), Some(1));
    }
}
