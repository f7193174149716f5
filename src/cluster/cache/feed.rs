//! One stream's way into a cache.

use std::sync::Arc;

use kube::runtime::watcher::Event;

use super::known::{Listing, version};
use super::{Cache, Key};
use crate::cluster::told::{Told, Undecodable, Watched};

/// It owns the objects of one namespace, or all.
pub(in crate::cluster) struct Feed<K> {
    cache: Arc<Cache<K>>,
    scope: Option<String>,
    listing: Option<Listing<K>>,
    /// The latest version that was told of since the listing began.
    told_at: u128,
    went_back: bool,
    synced: bool,
}

impl<K: Watched> Feed<K> {
    pub(in crate::cluster) fn new(cache: Arc<Cache<K>>, scope: Option<String>) -> Self {
        Self {
            cache,
            scope,
            listing: None,
            told_at: 0,
            went_back: false,
            synced: false,
        }
    }

    /// Takes in what the watch has told. What cannot be decoded counts as not there, whatever was known of it.
    pub(in crate::cluster) fn take(&mut self, event: Event<Told<K>>) -> Result<(), Undecodable> {
        match event {
            Event::Init => {
                (self.told_at, self.went_back) = (0, false);
                let again = self.listing.replace(Listing::default()).is_some();
                self.cache
                    .write()
                    .begin_listing(self.scope.as_deref(), again);
            }
            Event::InitApply(told) => {
                self.told_at = self.told_at.max(version(&told));
                let mut object = told.decoded()?;
                self.cache.prune(&mut object);
                if let Some(listing) = &mut self.listing {
                    self.cache.read().list(listing, object);
                }
            }
            Event::InitDone => self.end_listing(),
            Event::Apply(told) => {
                self.note(&told);
                if !told.is_decoded() {
                    self.end(&told);
                }
                let mut object = told.decoded()?;
                self.cache.prune(&mut object);
                let object = Arc::new(object);
                let key = Key::of(object.as_ref());
                let taken = self.cache.write().take(key, object.clone());
                if taken {
                    self.cache.tell(&object);
                }
            }
            Event::Delete(told) => {
                self.note(&told);
                self.end(&told);
            }
        }
        Ok(())
    }

    fn end(&self, told: &Told<K>) {
        let gone = self.cache.write().end(told);
        gone.iter().for_each(|object| self.cache.tell(object));
    }

    /// Whether the watch has told of something older than before: etcd was restored, and what was told until then need not be so. Only
    /// a listing tells what there is.
    pub(in crate::cluster) fn went_back(&self) -> bool {
        self.went_back
    }

    fn note(&mut self, told: &Told<K>) {
        self.went_back |= version(told) < self.told_at;
        self.told_at = self.told_at.max(version(told));
    }

    /// All has been told that can be, for now.
    pub(in crate::cluster) fn count_as_told(&mut self) {
        if !self.synced {
            self.synced = true;
            self.cache.pending.send_modify(|pending| *pending -= 1);
        }
    }

    fn end_listing(&mut self) {
        let listing = self.listing.take().unwrap_or_default();
        let news = self
            .cache
            .write()
            .end_listing(self.scope.as_deref(), listing);
        self.count_as_told();
        news.iter().for_each(|object| self.cache.tell(object));
    }
}
