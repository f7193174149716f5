//! The known objects of one kind: from watches, and from our own writes.
//!
//! A watch lags behind. The cache takes the response to our own call at once, and accepts a later
//! event of the watch only if it is newer, so nobody acts on a state that is older than our own
//! last write. Responses can be late, too: they do not bring back an object that has been deleted
//! in the meantime.

mod archive;
mod known;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use kube::Resource;
use tokio::sync::watch;

use super::index::{Mark, Marks};
use super::key::Key;
use super::metadata_filter::MetadataFilter;
use super::partition::{Partitions, QueueCounts, Rank};
use crate::plan::observed::Place;
use known::Known;

pub(super) use archive::IsHistory;
pub(super) use known::Listing;

type Subscriber<K> = Box<dyn Fn(&K) + Send + Sync>;

/// The known objects of one kind.
pub struct Cache<K> {
    known: RwLock<Known<K>>,
    keeps: MetadataFilter,
    /// Drops the parts of an object that nobody reads.
    thin: fn(&mut K),
    visits: Visits,
    subscribers: RwLock<Vec<Subscriber<K>>>,
    /// How many streams have not listed all their objects yet.
    pending: watch::Sender<usize>,
}

/// How many objects were visited. Tests use this to measure the cost of a pass, because time says
/// nothing on a busy machine.
#[derive(Default)]
struct Visits(#[cfg(test)] std::sync::atomic::AtomicUsize);

impl Visits {
    fn one(&self) {
        #[cfg(test)]
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
impl<K: Resource> Cache<K> {
    /// How many objects have been visited so far.
    pub(crate) fn visited(&self) -> usize {
        self.visits.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// One call of ours about one object, from before it is sent until its response arrives or it is
/// given up.
pub(super) struct PendingCall<'a, K: Resource> {
    cache: &'a Cache<K>,
    key: Key,
}

impl<K: Resource> Cache<K> {
    /// An empty cache that this many streams will feed; `marks` indexes its objects, and `keeps`
    /// filters their metadata.
    pub(super) fn new(streams: usize, marks: Marks<K>, keeps: MetadataFilter) -> Self {
        Self {
            known: RwLock::new(Known::new(marks)),
            keeps,
            thin: |_| {},
            visits: Visits::default(),
            subscribers: RwLock::default(),
            pending: watch::Sender::new(streams),
        }
    }

    /// Drops with `thin` the parts of each object that nobody reads.
    pub(super) fn thinned(mut self, thin: fn(&mut K)) -> Self {
        self.thin = thin;
        self
    }

    /// Keeps only the existence of objects that are history.
    pub(super) fn archiving(self, is_history: IsHistory<K>) -> Self {
        self.write().is_history = is_history;
        self
    }

    /// Whether an object exists of which the cache keeps nothing else, because it is history.
    pub fn is_history(&self, key: &Key) -> bool {
        self.read().archive.version(key).is_some()
    }

    /// Archives an object that has become history; returns whether it has.
    pub fn archive(&self, key: &Key) -> bool {
        self.write().archive(key)
    }

    /// The archived objects whose retention is over; somebody has to read and check them.
    pub fn due_history(&self, now: Timestamp) -> Vec<Key> {
        self.read().archive.due(now)
    }

    /// The archived objects of a namespace that became history at this time or later.
    pub fn became_history_since(&self, namespace: &str, since: Timestamp) -> Vec<Key> {
        self.read().archive.since(namespace, since)
    }

    /// The object with this key.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.visits.one();
        self.read().objects.get(key).cloned()
    }

    /// All objects for which `wanted` holds.
    pub fn select(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let known = self.read();
        known
            .objects
            .values()
            .inspect(|_| self.visits.one())
            .filter(|object| wanted(object))
            .cloned()
            .collect()
    }

    /// Shows each object to `see`, without keeping any. `see` must not call this cache.
    pub fn visit(&self, mut see: impl FnMut(&K)) {
        let known = self.read();
        for object in known.objects.values() {
            self.visits.one();
            see(object);
        }
    }

    /// All objects with this mark.
    pub fn having(&self, mark: &Mark) -> Vec<Arc<K>> {
        let known = self.read();
        let having = known.index.of(mark).flat_map(Partitions::objects);
        let having = having.inspect(|_| self.visits.one());
        having.cloned().collect()
    }

    /// The newest objects with this mark, at most `most` of each person.
    pub fn newest(&self, mark: &Mark, most: usize) -> Vec<Arc<K>> {
        let known = self.read();
        let newest = known.index.of(mark).flat_map(|found| found.newest(most));
        let newest = newest.inspect(|_| self.visits.one());
        newest.cloned().collect()
    }

    /// The counts of the objects in one partition of this mark: of those before this rank, or of
    /// all.
    pub fn queue_counts(&self, mark: &Mark, partition: &str, before: Option<&Rank>) -> QueueCounts {
        let known = self.read();
        let found = known.index.of(mark).next();
        found.map_or_else(QueueCounts::default, |found| {
            found.queue_counts(partition, before, || self.visits.one())
        })
    }

    /// Reports each place that the loans in one partition of this mark take: who holds it, and by
    /// which flow.
    pub fn places(&self, mark: &Mark, partition: &str, mut told: impl FnMut(&Key, u64, Place)) {
        let known = self.read();
        for (key, flow, place) in known
            .index
            .of(mark)
            .flat_map(|found| found.places(partition))
        {
            self.visits.one();
            told(key, flow, place);
        }
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<Key> {
        let known = self.read();
        known.objects.keys().map(|key| Key::clone(key)).collect()
    }

    /// All objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.select(|object| object.meta().namespace.as_deref() == Some(namespace))
    }

    /// Calls `notice` from now on with every object that appears, changes or disappears (then in
    /// its last known state).
    pub fn subscribe(&self, notice: impl Fn(&K) + Send + Sync + 'static) {
        let mut subscribers = self
            .subscribers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.push(Box::new(notice));
    }

    /// Whether every stream has listed all its objects once.
    pub fn is_synced(&self) -> bool {
        *self.pending.borrow() == 0
    }

    /// Waits until every stream has listed all its objects once.
    pub async fn synced(&self) {
        // The sender lives as long as self.
        self.pending
            .subscribe()
            .wait_for(|pending| *pending == 0)
            .await
            .ok();
    }

    /// A stream begins to list its objects, `again` if its previous listing failed.
    pub(super) fn begin_listing(&self, scope: Option<&str>, again: bool) {
        self.write().begin_listing(scope, again);
    }

    /// Adds an object to a listing.
    pub(super) fn list(&self, listing: &mut Listing<K>, mut object: K) {
        self.prune(&mut object);
        self.read().list(listing, object);
    }

    /// Takes in everything that a stream has listed; returns the objects to report to the
    /// subscribers.
    pub(super) fn end_listing(&self, scope: Option<&str>, listing: Listing<K>) -> Vec<Arc<K>> {
        self.write().end_listing(scope, listing)
    }

    /// A stream has listed all its objects once.
    pub(super) fn stream_synced(&self) {
        self.pending.send_modify(|pending| *pending -= 1);
    }

    /// Takes in an object that a watch reports.
    pub(super) fn take(&self, mut object: K) {
        self.prune(&mut object);
        let object = Arc::new(object);
        let taken = self.write().take(Key::of(object.as_ref()), object.clone());
        if taken {
            self.tell(&object);
        }
    }

    /// Takes in that an object was deleted, as a watch reports it.
    pub(super) fn end(&self, object: &impl Resource) {
        let gone = self.write().end(object);
        gone.iter().for_each(|object| self.tell(object));
    }

    /// Call this before a call about an object is sent: the cache compares the response with
    /// everything that arrives in the meantime.
    pub(super) fn begin_call(&self, key: Key) -> PendingCall<'_, K> {
        self.write().begin_call(&key);
        PendingCall { cache: self, key }
    }

    /// Takes in that we deleted the object with this uid.
    pub(super) fn forget(&self, key: &Key, uid: &str) {
        let gone = self.write().forget(key, uid);
        gone.iter().for_each(|object| self.tell(object));
    }

    /// Reports an object to all subscribers.
    pub(super) fn tell(&self, object: &K) {
        let subscribers = self
            .subscribers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.iter().for_each(|notice| notice(object));
    }

    fn prune(&self, object: &mut K) {
        self.keeps.prune(object);
        (self.thin)(object);
    }

    fn read(&self) -> RwLockReadGuard<'_, Known<K>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known<K>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Resource> PendingCall<'_, K> {
    /// Takes in an object that we created or read.
    pub(super) fn found(self, object: K) -> Arc<K> {
        self.answered(object, true)
    }

    /// Takes in an object that we changed. If it is no longer known, it has been deleted since.
    pub(super) fn changed(self, object: K) -> Arc<K> {
        self.answered(object, false)
    }

    /// Takes in that the object does not exist.
    pub(super) fn missed(self) {
        let gone = self.cache.write().miss(&self.key);
        gone.iter().for_each(|object| self.cache.tell(object));
    }

    fn answered(self, mut object: K, may_be_new: bool) -> Arc<K> {
        self.cache.prune(&mut object);
        let object = Arc::new(object);
        let mut known = self.cache.write();
        let counts = may_be_new || known.has(&self.key, object.as_ref());
        let taken = counts && known.answer(self.key.clone(), object.clone());
        drop(known);
        if taken {
            self.cache.tell(&object);
        }
        object
    }
}

impl<K: Resource> Drop for PendingCall<'_, K> {
    fn drop(&mut self) {
        self.cache.write().end_call(&self.key);
    }
}

#[cfg(test)]
mod history;
#[cfg(test)]
mod tests;
