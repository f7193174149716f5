//! The receivers of the events of loans. A new receiver is one more line in [`Sinks::all`].

use std::sync::Arc;

use crate::cluster::{Cluster, Events};
use crate::plan::events::{About, LoanEvent};
use crate::runtime::{Outbox, Tasks};

/// A receiver of the events of loans.
pub trait Sink: Send + Sync {
    /// Receives an event. A pass calls this, so it must return at once: whatever takes time or can
    /// fail happens later, for example in the task of an [`Outbox`].
    fn tell(&self, event: &Arc<LoanEvent>);
}

/// All receivers.
#[derive(Default)]
pub struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    /// Starts all receivers.
    pub fn all(cluster: &Arc<Cluster>, tasks: &Tasks) -> Self {
        Self(vec![Box::new(cluster.events("loan", tasks))])
    }

    /// Hands events to each receiver, in their order.
    pub fn tell(&self, events: impl IntoIterator<Item = LoanEvent>) {
        for event in events.into_iter().map(Arc::new) {
            self.0.iter().for_each(|sink| sink.tell(&event));
        }
    }
}

/// What `kubectl describe` shows of the request or, once it is gone, of the record.
impl Sink for Events {
    fn tell(&self, event: &Arc<LoanEvent>) {
        let notes = event.notes.iter().cloned();
        match &event.about {
            About::Request(grant) => self.tell(grant.as_ref(), "Lend", notes),
            About::Record(record) => self.tell(record.as_ref(), "Lend", notes),
        }
    }
}

/// A receiver whose task delivers the events.
impl Sink for Outbox<Arc<LoanEvent>> {
    fn tell(&self, event: &Arc<LoanEvent>) {
        self.put(event.clone());
    }
}
