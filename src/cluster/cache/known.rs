//! The content of a cache, and what it needs to tell outdated reports from new ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::Resource;

use super::archive::{Archive, IsHistory};
use crate::cluster::index::{Index, Marks};
use crate::cluster::key::{Key, version};

/// The objects, and for as long as needed, what tells outdated reports from new ones.
pub(super) struct Known<K> {
    pub(super) objects: HashMap<Arc<Key>, Arc<K>>,
    pub(super) index: Index<K>,
    /// Decides what is history; nothing is by default.
    pub(super) is_history: IsHistory<K>,
    pub(super) archive: Archive,
    /// The uids of objects that we deleted and that the watch has not reported as deleted yet.
    deleted: HashMap<Key, String>,
    /// How many listings are in progress.
    listings: usize,
    /// The objects that responses contained since a listing began; the list may lack them.
    answered: HashSet<Key>,
    /// The objects with calls of ours in progress.
    asked: HashMap<Key, Asked>,
}

/// What a listing has returned so far.
pub(in crate::cluster) struct Listing<K> {
    objects: HashMap<Key, Arc<K>>,
    archive: Archive,
    /// The latest version of an object in it.
    listed_at: u128,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            archive: Archive::default(),
            listed_at: 0,
        }
    }
}

impl<K: Resource> Known<K> {
    /// Adds an object to a listing.
    pub(super) fn list(&self, listing: &mut Listing<K>, object: K) {
        let (key, version) = (Key::of(&object), version(&object));
        listing.listed_at = listing.listed_at.max(version);
        let history = (self.is_history)(&object);
        if history.is_none_or(|history| !listing.archive.put(&key, version, history)) {
            listing.objects.insert(key, Arc::new(object));
        }
    }
}

/// What arrived about an object since the first of its calls in progress began.
#[derive(Default)]
struct Asked {
    calls: usize,
    /// Whether anything arrived.
    news: bool,
    /// The last version at which an object of this name is known to have been deleted.
    ended: Option<u128>,
}

impl<K: Resource> Known<K> {
    pub(super) fn new(marks: Marks<K>) -> Self {
        Self {
            objects: HashMap::new(),
            index: Index::new(marks),
            is_history: Box::new(|_| None),
            archive: Archive::default(),
            deleted: HashMap::new(),
            listings: 0,
            answered: HashSet::new(),
            asked: HashMap::new(),
        }
    }

    /// Archives an object that has become history; returns whether it has.
    pub(super) fn archive(&mut self, key: &Key) -> bool {
        let Some(object) = self.objects.get(key).cloned() else {
            return false;
        };
        let history = (self.is_history)(&object);
        let is_archived =
            history.is_some_and(|known| self.archive.put(key, version(object.as_ref()), known));
        if is_archived {
            self.take_out(key);
        }
        is_archived
    }

    /// Whether this object is known, in any version.
    pub(super) fn has(&self, key: &Key, object: &K) -> bool {
        let known = self.objects.get(key);
        known.is_some_and(|known| known.meta().uid == object.meta().uid)
    }

    /// Takes in an object unless a newer version is known; returns whether it was news.
    pub(super) fn take(&mut self, key: Key, object: Arc<K>) -> bool {
        let ended = self
            .deleted
            .get(&key)
            .is_some_and(|uid| is(object.as_ref(), uid));
        let known = self.objects.get(&key).map(|known| version(known.as_ref()));
        let known = known.or_else(|| self.archive.version(&key));
        if ended || known.is_some_and(|known| known >= version(object.as_ref())) {
            return false;
        }
        self.put(key, object)
    }

    /// Takes in an object, whatever is known; returns whether it was news.
    fn put(&mut self, key: Key, object: Arc<K>) -> bool {
        self.deleted.remove(&key);
        self.note(&key, None);
        let before = self.take_out(&key);
        let was_history = self.archive.remove(&key);
        if let Some(history) = (self.is_history)(&object)
            && self.archive.put(&key, version(object.as_ref()), history)
        {
            // Subscribers may have to report that it has just become history.
            return before.is_some();
        }
        let is_news = was_history
            || before.is_none_or(|before| {
                before.meta().uid != object.meta().uid
                    || version(before.as_ref()) != version(object.as_ref())
            });
        let key = Arc::new(key);
        self.index.add(&key, &object);
        self.objects.insert(key, object);
        is_news
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<K>> {
        let object = self.take_out(key)?;
        self.note(key, Some(version(object.as_ref())));
        Some(object)
    }

    fn take_out(&mut self, key: &Key) -> Option<Arc<K>> {
        let (key, object) = self.objects.remove_entry(key)?;
        self.index.remove(&key, &object);
        Some(object)
    }

    /// Takes in that the watch reports an object as deleted; returns its last known state.
    pub(super) fn end(&mut self, object: &impl Resource) -> Option<Arc<K>> {
        let key = Key::of(object);
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        if self.deleted.get(&key).is_some_and(|deleted| deleted == uid) {
            self.deleted.remove(&key);
        }
        self.note(&key, Some(version(object)));
        if self
            .archive
            .version(&key)
            .is_some_and(|known| known <= version(object))
        {
            self.archive.remove(&key);
        }
        let known = self.objects.get(&key)?;
        let is_over = is(known.as_ref(), uid) || version(known.as_ref()) <= version(object);
        if is_over { self.remove(&key) } else { None }
    }

    /// Takes in that we deleted the object with this uid; returns its last known state. If there
    /// was none, the watch has already reported the deletion.
    pub(super) fn forget(&mut self, key: &Key, uid: &str) -> Option<Arc<K>> {
        self.objects
            .get(key)
            .filter(|known| is(known.as_ref(), uid))?;
        self.deleted.insert(key.clone(), uid.to_owned());
        self.remove(key)
    }

    pub(super) fn begin_call(&mut self, key: &Key) {
        self.asked.entry(key.clone()).or_default().calls += 1;
    }

    pub(super) fn end_call(&mut self, key: &Key) {
        if let Some(asked) = self.asked.get_mut(key) {
            asked.calls -= 1;
            if asked.calls == 0 {
                self.asked.remove(key);
            }
        }
    }

    /// Takes in the response to a call; returns whether it was news.
    ///
    /// If nothing else arrived since the call began, the response is the truth, whatever is known:
    /// resource versions go back when etcd is restored. Otherwise the newer version wins.
    pub(super) fn answer(&mut self, key: Key, object: Arc<K>) -> bool {
        let asked = self.asked.get(&key);
        let ended = asked.and_then(|asked| asked.ended);
        if ended.is_some_and(|ended| version(object.as_ref()) <= ended) {
            return false;
        }
        let undisputed = asked.is_some_and(|asked| !asked.news);
        if self.listings > 0 {
            self.answered.insert(key.clone());
        }
        if undisputed {
            self.put(key, object)
        } else {
            self.take(key, object)
        }
    }

    /// Takes in the response that an object does not exist; returns its last known state.
    pub(super) fn miss(&mut self, key: &Key) -> Option<Arc<K>> {
        self.asked.get(key).filter(|asked| !asked.news)?;
        self.archive.remove(key);
        let uid = self.objects.get(key)?.meta().uid.clone();
        self.forget(key, &uid.unwrap_or_default())
    }

    fn note(&mut self, key: &Key, ended: Option<u128>) {
        if let Some(asked) = self.asked.get_mut(key) {
            asked.news = true;
            asked.ended = asked.ended.max(ended);
        }
    }

    /// A listing begins, `again` if the previous one failed: all responses until now are older than
    /// its list.
    pub(super) fn begin_listing(&mut self, scope: Option<&str>, again: bool) {
        self.listings += usize::from(!again);
        self.answered.retain(|key| !in_scope(scope, key));
        self.deleted.retain(|key, _| !in_scope(scope, key));
    }

    /// Takes in a complete list; returns the objects that are news, and the last known state of
    /// those that are gone.
    pub(super) fn end_listing(&mut self, scope: Option<&str>, listing: Listing<K>) -> Vec<Arc<K>> {
        let Listing {
            objects: listing,
            archive,
            listed_at,
        } = listing;
        // The list is at least as new as each object in it.
        let listed_at = Some(listed_at);
        let is_newer = |key: &Key, object: &K| {
            self.answered.contains(key) && Some(version(object)) > listed_at
        };
        let gone: Vec<Arc<Key>> = self
            .objects
            .iter()
            .filter(|(key, _)| in_scope(scope, key) && !listing.contains_key(key.as_ref()))
            .filter(|(key, object)| !is_newer(key, object))
            .map(|(key, _)| key.clone())
            .collect();
        let is_history = |key: &Key| archive.version(key).is_some();
        let left = gone.iter().filter_map(|key| match is_history(key) {
            true => self.take_out(key),
            false => self.remove(key),
        });
        let mut news: Vec<Arc<K>> = left.collect();
        self.deleted
            .retain(|key, _| !in_scope(scope, key) || listing.contains_key(key) || is_history(key));
        self.archive.replace(scope, archive);
        let known_better = self.objects.keys().map(AsRef::as_ref);
        for key in known_better.chain(self.deleted.keys()) {
            self.archive.remove(key);
        }
        for (key, object) in listing {
            // The list is the truth, whatever is known, except for objects that we wrote or deleted
            // while it was made.
            let disputed = self.answered.contains(&key) || self.deleted.contains_key(&key);
            let is_news = if disputed {
                self.take(key, object.clone())
            } else {
                self.put(key, object.clone())
            };
            if is_news {
                news.push(object);
            }
        }
        self.listings = self.listings.saturating_sub(1);
        self.answered.retain(|key| !in_scope(scope, key));
        news
    }

    /// Whether nothing but the objects is stored.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        self.deleted.is_empty() && self.answered.is_empty() && self.asked.is_empty()
    }
}

fn in_scope(scope: Option<&str>, key: &Key) -> bool {
    scope.is_none_or(|namespace| namespace == key.namespace)
}

fn is(object: &impl Resource, uid: &str) -> bool {
    object.meta().uid.as_deref() == Some(uid)
}
