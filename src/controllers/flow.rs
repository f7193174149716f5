//! The flow controller: reports whether each flow can be used.

use std::sync::Arc;

use kube::ResourceExt;

use super::registry::Registry;
use crate::cluster::{ApiErrorKind, Cluster, Events, Key};
use crate::plan::validity::{Lender, Plan, plan};
use crate::runtime::{Clock, Outcome, WorkQueue};

/// The shared parts of passes over flows.
pub struct Flows {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The state of each account.
    pub registry: Arc<Registry>,
    /// The time.
    pub clock: Clock,
    /// Events for people.
    pub events: Events,
}

impl Flows {
    /// Schedules a pass for a flow when it changes, when its integration appears, changes (its
    /// status shows listings) or goes, and when one of its vaults was listed for a request.
    /// Subscribe before the watches start.
    pub fn subscribe(cluster: &Arc<Cluster>, registry: &Registry, passes: &WorkQueue<Key>) {
        let queue = passes.clone();
        cluster
            .flows
            .subscribe(move |flow| queue.enqueue(Key::of(flow)));
        let (queue, cluster_of) = (passes.clone(), Arc::downgrade(cluster));
        let look_at_those_of = move |integration: &Key| {
            let Some(cluster) = cluster_of.upgrade() else {
                return;
            };
            let concerned = cluster.flows.select(|flow| {
                flow.namespace().as_deref() == Some(&integration.namespace)
                    && flow.spec.integration.0 == integration.name
            });
            concerned
                .iter()
                .for_each(|flow| queue.enqueue(Key::of(flow.as_ref())));
        };
        let of_listing = look_at_those_of.clone();
        registry.subscribe(of_listing);
        let of_change = look_at_those_of;
        cluster
            .integrations
            .subscribe(move |integration| of_change(&Key::of(integration)));
    }

    /// Runs one pass over one flow.
    pub async fn pass(self: Arc<Self>, key: Key) -> Outcome {
        // A flow that another installation serves is left to that one.
        let served = self.cluster.install.serves(&key.namespace);
        let Some(flow) = self.cluster.flows.get(&key).filter(|_| served) else {
            return Outcome::Gone;
        };
        let integration = Key::new(&key.namespace, &flow.spec.integration.0);
        let object = self.cluster.integrations.get(&integration);
        let (inventory, _) = self.registry.known(&integration);
        let lender = object.as_ref().map(|object| Lender {
            object,
            inventory: inventory.as_deref(),
        });
        let Plan {
            status,
            wake,
            notes,
        } = plan(&flow, lender, self.clock.now());
        match self.cluster.flows.patch_status(&flow, &status).await {
            Ok(written) => {
                if written {
                    self.events.tell(flow.as_ref(), "Validate", notes);
                }
                Outcome::Waiting(wake)
            }
            Err(error) if matches!(error.kind, ApiErrorKind::NotFound | ApiErrorKind::Conflict) => {
                Outcome::Waiting(None)
            }
            Err(error) => {
                tracing::warn!(%error, "could not write a status; retrying");
                Outcome::Failed
            }
        }
    }
}
