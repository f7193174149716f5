//! Stores how much of 1Password's request limits is used, and how long 1Password asks the operator
//! to wait, so that the next leader continues from there. It is one ConfigMap, written at most once
//! a minute and at a planned stop.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;

use super::quotas::Quotas;
use super::registry::Registry;
use crate::cluster::{ApiError, ApiErrorKind, Cluster, Key};
use crate::runtime::Clock;

/// The ConfigMap's name. It has one key.
const KEPT: &str = "keyloan-usage";
const COUNTS: &str = "counts.json";
/// The minimum interval between writes while the operator runs.
const AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// Keeps the counts in the cluster.
pub struct QuotaStore {
    cluster: Arc<Cluster>,
    quotas: Quotas,
    /// The operator's own namespace; without it, nothing is stored.
    namespace: Option<String>,
    clock: Clock,
    /// This operator leads, so its counts are the current ones.
    leads: AtomicBool,
}

impl QuotaStore {
    /// Creates it for the counts of this registry.
    pub fn new(
        cluster: Arc<Cluster>,
        registry: &Registry,
        namespace: Option<String>,
        clock: Clock,
    ) -> Self {
        Self {
            cluster,
            quotas: registry.quotas(),
            namespace,
            clock,
            leads: AtomicBool::new(false),
        }
    }

    /// Reads the counts that the previous leader stored. Unreadable counts start at zero: 1Password
    /// has the last word anyway.
    pub async fn load(&self) {
        self.leads.store(true, Ordering::SeqCst);
        let Some(namespace) = &self.namespace else {
            return;
        };
        let key = Key::new(namespace, KEPT);
        let taken = match self.cluster.verbs.get::<ConfigMap, ConfigMap>(&key).await {
            Ok(object) => {
                let data = object.and_then(|object| object.data).unwrap_or_default();
                let text = data.get(COUNTS).map_or("{}", String::as_str);
                let read = self.quotas.read(text, self.clock.now());
                read.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = taken {
            tracing::warn!(object = %key, why, "cannot read the stored count of requests to 1Password: the count starts at zero, and 1Password reports when a limit is reached");
        }
    }

    /// Stores counts from now on.
    pub async fn run(&self) -> Infallible {
        loop {
            self.quotas.changed().await;
            if let Err(error) = self.store().await {
                tracing::warn!(%error, "could not store the count of requests to 1Password");
            }
            tokio::time::sleep(AT_MOST_EVERY).await;
        }
    }

    /// Stores the last counts, if this operator leads.
    pub async fn save_last(&self) {
        if self.leads.load(Ordering::SeqCst) && self.quotas.has_changed() {
            // Without this write, the last minute is missing.
            self.store().await.ok();
        }
    }

    async fn store(&self) -> Result<(), ApiError> {
        let Some(namespace) = &self.namespace else {
            return Ok(());
        };
        let text = self.quotas.written(self.clock.now());
        let text = text.map_err(|error| ApiError {
            verb: "write",
            object: format!("ConfigMap {namespace}/{KEPT}"),
            kind: ApiErrorKind::Invalid(error.to_string()),
        })?;
        let object = ConfigMap {
            metadata: ObjectMeta {
                name: Some(KEPT.into()),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(COUNTS.into(), text)])),
            ..ConfigMap::default()
        };
        self.cluster.verbs.apply(&object).await.map(drop)
    }
}
