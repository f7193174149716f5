//! One of our kinds: its known objects together with the verbs, so that a write of ours is known at
//! once.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::object::HasStatus;
use serde::Serialize;
use serde_json::Value;

use super::cache::Cache;
use super::errors::{ApiError, ApiErrorKind};
use super::key::Key;
use super::metadata_filter::Watched;
use super::received::Received;
use super::verbs::{Deleted, Namespaced, Verbs};

/// The known objects of a kind, and what the operator can do to them. Reads like its [`Cache`].
pub struct Kind<K> {
    cache: Arc<Cache<K>>,
    verbs: Verbs,
}

impl<K> Deref for Kind<K> {
    type Target = Cache<K>;

    fn deref(&self) -> &Cache<K> {
        &self.cache
    }
}

impl<K: Namespaced + Watched> Kind<K> {
    /// Starts with an empty cache.
    pub(super) fn new(verbs: Verbs, cache: Cache<K>) -> Self {
        Self {
            cache: Arc::new(cache),
            verbs,
        }
    }

    /// The same, for calls that must not wait behind all others; see [`Verbs::urgent`].
    pub fn urgent(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            verbs: self.verbs.urgent(),
        }
    }

    pub(crate) fn cache(&self) -> &Arc<Cache<K>> {
        &self.cache
    }

    /// Creates an object; [`ApiErrorKind::AlreadyExists`](super::ApiErrorKind::AlreadyExists) if
    /// the name is taken.
    pub async fn create(&self, object: &K) -> Result<Arc<K>, ApiError> {
        let call = self.cache.begin_call(Key::of(object));
        let made = self.verbs.create(object).await?;
        Ok(call.found(decoded("create", made)?))
    }

    /// Reads an object from the API server.
    pub async fn live(&self, key: &Key) -> Result<Option<Arc<K>>, ApiError> {
        let call = self.cache.begin_call(key.clone());
        match self.verbs.get::<K, _>(key).await? {
            Some(object) => Ok(Some(call.found(decoded("get", object)?))),
            None => {
                call.missed();
                Ok(None)
            }
        }
    }

    /// Changes an object if it still has the version that was seen; see [`Verbs::swap`].
    pub async fn swap(&self, seen: &K, change: Value) -> Result<Arc<K>, ApiError> {
        let call = self.cache.begin_call(Key::of(seen));
        let changed = self.verbs.swap(seen, change).await?;
        Ok(call.changed(decoded("patch", changed)?))
    }

    /// Writes a status if it differs; see [`Verbs::patch_status`]. Returns whether it did.
    pub async fn patch_status(&self, seen: &K, status: &K::Status) -> Result<bool, ApiError>
    where
        K: HasStatus,
        K::Status: Serialize + PartialEq + Debug,
    {
        let call = self.cache.begin_call(Key::of(seen));
        let Some(written) = self.verbs.patch_status(seen, status).await? else {
            return Ok(false);
        };
        call.changed(decoded("write the status of", written)?);
        Ok(true)
    }

    /// Deletes this object, but no later one with the same name.
    pub async fn delete(&self, object: &K) -> Result<(), ApiError> {
        let (key, uid) = (Key::of(object), object.uid().unwrap_or_default());
        if self.verbs.delete::<K>(&key, &uid).await? == Deleted::Gone {
            self.cache.forget(&key, &uid);
        }
        Ok(())
    }
}

/// Decodes an object from a response as the watch does.
fn decoded<K: Watched>(verb: &'static str, told: Received<K>) -> Result<K, ApiError> {
    told.decoded().map_err(|undecodable| ApiError {
        verb,
        object: format!("{} {}", K::kind(&()), undecodable.key),
        kind: ApiErrorKind::Unavailable(undecodable.why),
    })
}
