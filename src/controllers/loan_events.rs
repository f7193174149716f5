//! Has Kubernetes show what happens to requests and loans: `kubectl describe` lists it.

use std::sync::Arc;

use crate::cluster::{Cluster, Events};
use crate::plan::events::{About, LoanEvent};
use crate::runtime::Tasks;

/// Publishes the events of loans, or of none by default.
#[derive(Default)]
pub struct LoanEvents(Option<Events>);

impl LoanEvents {
    /// Starts the task that publishes.
    pub fn start(cluster: &Arc<Cluster>, tasks: &Tasks) -> Self {
        Self(Some(cluster.events("loan", tasks)))
    }

    /// Publishes these. It returns at once: a task does the work.
    pub fn tell(&self, events: impl IntoIterator<Item = LoanEvent>) {
        let Some(to) = &self.0 else { return };
        for LoanEvent { about, notes } in events {
            match about {
                About::Request(grant) => to.tell(grant.as_ref(), "Lend", notes),
                About::Record(record) => to.tell(record.as_ref(), "Lend", notes),
            }
        }
    }
}
