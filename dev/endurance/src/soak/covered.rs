//! The requests that a flow covered, as a watch saw them, and which of them the ledger does not have.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use keyloan::api::AccessGrant;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};

use crate::ground::TEAM;

/// The uids of the requests that a flow covered.
#[derive(Clone, Default)]
pub struct Covered(Arc<Mutex<BTreeSet<String>>>);

impl Covered {
    /// Watches requests, as long as it is polled.
    pub async fn watch(self, admin: Client) -> Result<()> {
        let grants: Api<AccessGrant> = Api::namespaced(admin, TEAM);
        let seen = watcher(grants, watcher::Config::default()).applied_objects();
        let mut seen = seen.default_backoff().boxed();
        while let Some(grant) = seen.next().await {
            // The watch begins again after an error.
            let Ok(grant) = grant else { continue };
            let status = grant.status.as_ref();
            if status.is_some_and(|status| status.digest.is_some()) {
                let mut covered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                covered.insert(grant.uid().context("a stored object has a uid")?);
            }
        }
        Ok(())
    }

    /// Their number.
    pub fn number(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Those of which there is no record.
    pub fn without(&self, records: &BTreeSet<&str>) -> Vec<String> {
        let covered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = covered.iter().filter(|uid| !records.contains(uid.as_str()));
        missing.cloned().collect()
    }
}
