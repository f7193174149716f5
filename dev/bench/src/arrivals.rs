//! The times at which a watcher sees the link Secrets and the states of the grants.
//!
//! The operator's loans and those of the raw-write floor are seen through the same watches, so both
//! include the same delay between a write and its event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{ACTIVE, AccessGrant, GRANT_UID_LABEL, Phase};
use keyloan_cluster::LINKS_NAMESPACE;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::stopwatch;

/// Far longer than any wait should take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The observations of the watches. Clones share them.
#[derive(Clone)]
pub struct Arrivals {
    seen: Arc<Mutex<HashMap<String, Seen>>>,
    changes: watch::Sender<()>,
}

/// The observations of one grant.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The time when its link Secret first existed.
    pub secret: Option<Instant>,
    /// The time when it was first Active.
    pub active: Option<Instant>,
    /// The number of the link in its status.
    pub sequence: Option<u32>,
    /// Its phase.
    pub phase: Option<Phase>,
    /// The conditions, for the message of a timeout.
    conditions: String,
}

impl Arrivals {
    /// Watches the requests of a namespace and all links while `tasks` lives.
    pub fn watch(client: &Client, namespace: &str, tasks: &mut JoinSet<()>) -> Self {
        let arrivals = Self {
            seen: Arc::default(),
            changes: watch::Sender::new(()),
        };
        let everything = watcher::Config::default();
        let grants = Api::<AccessGrant>::namespaced(client.clone(), namespace);
        let grants = kube::runtime::watcher(grants, everything.clone()).default_backoff();
        let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(client.clone(), LINKS_NAMESPACE);
        let secrets =
            kube::runtime::watcher(secrets, everything.labels(GRANT_UID_LABEL)).default_backoff();
        tasks.spawn(arrivals.clone().follow(grants, Self::grant));
        tasks.spawn(arrivals.clone().follow(secrets, |seen, secret| {
            let uid = secret
                .labels()
                .get(GRANT_UID_LABEL)
                .cloned()
                .unwrap_or_default();
            seen.entry(uid)
                .or_default()
                .secret
                .get_or_insert_with(stopwatch::now);
        }));
        arrivals
    }

    fn grant(seen: &mut HashMap<String, Seen>, grant: &AccessGrant) {
        let seen = seen.entry(grant.uid().unwrap_or_default()).or_default();
        let Some(status) = &grant.status else { return };
        let active = status
            .conditions
            .iter()
            .any(|c| c.type_ == ACTIVE && c.status == "True");
        if active {
            seen.active.get_or_insert_with(stopwatch::now);
        }
        seen.sequence = status.link.as_ref().map(|link| link.sequence);
        seen.phase = status.phase;
        let conditions = status
            .conditions
            .iter()
            .map(|c| format!("{}={} ({}: {})", c.type_, c.status, c.reason, c.message));
        seen.conditions = conditions.collect::<Vec<_>>().join("; ");
    }

    async fn follow<K>(
        self,
        stream: impl Stream<Item = watcher::Result<Event<K>>>,
        note: impl Fn(&mut HashMap<String, Seen>, &K),
    ) {
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            // After an error the watcher continues by itself; a waiter that times out reports it.
            let Ok(Event::Apply(object) | Event::InitApply(object)) = event else {
                continue;
            };
            note(
                &mut self.seen.lock().unwrap_or_else(PoisonError::into_inner),
                &object,
            );
            self.changes.send_replace(());
        }
    }

    /// Waits until `ready` returns a value for the grant with this uid.
    pub async fn wait<T>(
        &self,
        uid: &str,
        what: &str,
        find: impl Fn(&Seen) -> Option<T>,
    ) -> Result<T> {
        let mut changes = self.changes.subscribe();
        let found = async {
            loop {
                if let Some(found) = self.of(uid).as_ref().and_then(&find) {
                    return found;
                }
                // The sender is in self, so the channel cannot be closed.
                let _ = changes.changed().await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => Ok(found),
            Err(_) => {
                let conditions = self.of(uid).unwrap_or_default().conditions;
                bail!(
                    "timed out after {PATIENCE:?} waiting until {what}; the conditions of the \
                     grant with the uid {uid}: {conditions}"
                )
            }
        }
    }

    fn of(&self, uid: &str) -> Option<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(uid)
            .cloned()
    }
}
