//! The flow controller: says whether each flow can be used.

use std::sync::Arc;

use kube::ResourceExt;

use crate::cluster::{Cluster, Events, Key, Notice, Trouble};
use crate::plan::validity::{Plan, plan};
use crate::runtime::{Clock, Outcome, Passes};

/// What passes over flows share.
pub struct Flows {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The time.
    pub clock: Clock,
    /// What people are told.
    pub events: Events,
}

impl Flows {
    /// Has a flow looked at when it changes, and when its integration appears or goes. Subscribe before the watches start.
    pub fn subscribe(cluster: &Arc<Cluster>, passes: &Passes<Key>) {
        let ask = passes.clone();
        cluster.flows.subscribe(move |flow| ask.ask(Key::of(flow)));
        let (ask, cluster_of) = (passes.clone(), Arc::downgrade(cluster));
        cluster.integrations.subscribe(move |integration| {
            let Some(cluster) = cluster_of.upgrade() else {
                return;
            };
            let concerned = cluster.flows.select(|flow| {
                flow.namespace() == integration.namespace()
                    && flow.spec.integration.0 == integration.name_any()
            });
            concerned
                .iter()
                .for_each(|flow| ask.ask(Key::of(flow.as_ref())));
        });
    }

    /// Looks at one flow once.
    pub async fn pass(self: Arc<Self>, key: Key) -> Outcome {
        // One that another install serves is left to that one.
        let served = self.cluster.install.serves(&key.namespace);
        let Some(flow) = self.cluster.flows.get(&key).filter(|_| served) else {
            return Outcome::Gone;
        };
        let integration = Key::new(&key.namespace, &flow.spec.integration.0);
        let integration = self.cluster.integrations.get(&integration);
        let Plan { status, notes } = plan(&flow, integration.as_deref(), self.clock.now());
        match self.cluster.flows.patch_status(&flow, &status).await {
            Ok(written) => {
                for note in notes.into_iter().filter(|_| written) {
                    let (warning, reason, note) = (note.warning, note.reason, note.message);
                    let notice = Notice {
                        warning,
                        reason,
                        action: "Validate",
                        note,
                    };
                    self.events.tell(flow.as_ref(), notice);
                }
                Outcome::Waiting(None)
            }
            Err(error) if matches!(error.trouble, Trouble::NotFound | Trouble::Conflict) => {
                Outcome::Waiting(None)
            }
            Err(error) => {
                tracing::warn!(%error, "a status was not written; it is tried again");
                Outcome::Failed
            }
        }
    }
}
