//! Observations of many grants at once. This is cheaper than [`crate::arrivals`], where each event
//! wakes a waiter for each grant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{AccessGrant, GRANT_UID_LABEL, Phase};
use keyloan_cluster::LINKS_NAMESPACE;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio::task::JoinSet;

use crate::stopwatch;

/// The interval between two checks whether all observations are complete; each observation has its
/// own time.
const LOOKS_EVERY: Duration = Duration::from_millis(10);

/// The observations of one grant, each with its first time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sighting {
    /// When it had a phase.
    pub phase: Option<Instant>,
    /// When it was Active.
    pub active: Option<Instant>,
    /// When its link Secret existed.
    pub link: Option<Instant>,
    /// When its link Secret was deleted.
    pub link_gone: Option<Instant>,
}

/// The observations so far.
pub struct Sightings {
    seen: Seen,
    _watches: JoinSet<()>,
}

type Seen = Arc<Mutex<HashMap<String, Sighting>>>;

impl Sightings {
    /// Watches the links and the grants of some namespaces.
    pub fn watch(client: &Client, namespaces: &[&str]) -> Self {
        let (seen, mut watches) = (Seen::default(), JoinSet::new());
        let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(client.clone(), LINKS_NAMESPACE);
        let links = watcher::Config::default().labels(GRANT_UID_LABEL);
        let secrets = kube::runtime::watcher(secrets, links).default_backoff();
        watches.spawn(follow_links(seen.clone(), secrets));
        for namespace in namespaces {
            let grants = Api::<AccessGrant>::namespaced(client.clone(), namespace);
            let grants =
                kube::runtime::watcher(grants, watcher::Config::default()).default_backoff();
            watches.spawn(follow_grants(seen.clone(), grants));
        }
        Self {
            seen,
            _watches: watches,
        }
    }

    /// Waits until there is an observation of each grant, and returns the times, in the order of
    /// the uids.
    pub async fn all(
        &self,
        uids: &[String],
        what: &str,
        at_most: Duration,
        find: impl Fn(&Sighting) -> Option<Instant>,
    ) -> Result<Vec<Instant>> {
        let began = stopwatch::now();
        let mut found = Vec::with_capacity(uids.len());
        loop {
            {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let rest = &uids[found.len()..];
                found.extend(rest.iter().map_while(|uid| seen.get(uid).and_then(&find)));
            }
            let Some(next) = uids.get(found.len()) else {
                return Ok(found);
            };
            if began.elapsed() > at_most {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let missing = |uid: &&String| seen.get(*uid).and_then(&find).is_none();
                let missing = uids.iter().filter(missing).count();
                bail!(
                    "timed out after {at_most:?} waiting until each {what}: {missing} of {} are \
                     missing, one of them has the uid {next}",
                    uids.len()
                );
            }
            tokio::time::sleep(LOOKS_EVERY).await;
        }
    }
}

async fn follow_grants(
    seen: Seen,
    grants: impl Stream<Item = watcher::Result<Event<AccessGrant>>>,
) {
    let mut grants = std::pin::pin!(grants);
    while let Some(event) = grants.next().await {
        // After an error the watcher continues by itself.
        let Ok(Event::Apply(grant) | Event::InitApply(grant)) = event else {
            continue;
        };
        let Some(phase) = grant.status.as_ref().and_then(|status| status.phase) else {
            continue;
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let sighting = seen.entry(grant.uid().unwrap_or_default()).or_default();
        sighting.phase.get_or_insert_with(stopwatch::now);
        if phase == Phase::Active {
            sighting.active.get_or_insert_with(stopwatch::now);
        }
    }
}

async fn follow_links(
    seen: Seen,
    secrets: impl Stream<Item = watcher::Result<Event<PartialObjectMeta<Secret>>>>,
) {
    let mut secrets = std::pin::pin!(secrets);
    while let Some(event) = secrets.next().await {
        let (secret, is_gone) = match event {
            Ok(Event::Apply(secret) | Event::InitApply(secret)) => (secret, false),
            Ok(Event::Delete(secret)) => (secret, true),
            _ => continue,
        };
        let uid = secret.labels().get(GRANT_UID_LABEL).cloned();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let sighting = seen.entry(uid.unwrap_or_default()).or_default();
        let first = match is_gone {
            true => &mut sighting.link_gone,
            false => &mut sighting.link,
        };
        first.get_or_insert_with(stopwatch::now);
    }
}
