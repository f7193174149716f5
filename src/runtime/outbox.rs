//! A bounded queue with a task that delivers: putting something in never waits and never fails.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use crate::telemetry::Metrics;

use super::tasks::Tasks;

/// How many may wait to be delivered; the operator drops and counts more.
const MOST_WAITING: usize = 1000;

/// The events that wait to be delivered to one receiver.
pub struct Outbox<T> {
    what: Arc<str>,
    waiting: mpsc::Sender<T>,
    metrics: Arc<Metrics>,
    /// A warning about dropped events has been logged.
    is_said: Arc<AtomicBool>,
}

impl<T: Send + 'static> Outbox<T> {
    /// Starts the task that delivers one after the other. `what` names them, as in `events of the
    /// loan controller`. A failure is counted and logged, and the next one is delivered.
    pub fn start<F, E>(
        what: impl Into<Arc<str>>,
        metrics: Arc<Metrics>,
        tasks: &Tasks,
        mut deliver: impl FnMut(T) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send,
        E: Display + Send,
    {
        let (sender, mut waiting) = mpsc::channel(MOST_WAITING);
        let outbox = Self {
            what: what.into(),
            waiting: sender,
            metrics,
            is_said: Arc::default(),
        };
        let own = outbox.clone();
        tasks.keep(outbox.what.to_string(), async move {
            // `own` holds a sender, so the channel never closes.
            while let Some(next) = waiting.recv().await {
                if waiting.is_empty() {
                    own.is_said.store(false, Ordering::Relaxed);
                }
                if let Err(error) = deliver(next).await {
                    own.metrics.operator.event_failed();
                    tracing::warn!(what = %own.what, %error, "could not publish an event; nothing else depends on it");
                }
            }
            Ok::<(), Infallible>(())
        });
        outbox
    }

    /// Has something delivered, unless too many wait already.
    pub fn put(&self, next: T) {
        if self.waiting.try_send(next).is_err() {
            self.metrics.operator.event_failed();
            if !self.is_said.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    what = %self.what,
                    waiting = MOST_WAITING,
                    "too many events are waiting to be published; dropping new ones while the queue is full"
                );
            }
        }
    }
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self {
            what: self.what.clone(),
            waiting: self.waiting.clone(),
            metrics: self.metrics.clone(),
            is_said: self.is_said.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Supervisor;

    #[tokio::test]
    async fn a_receiver_that_hangs_holds_up_nobody_and_the_rest_is_counted() {
        let (metrics, supervisor) = (Arc::new(Metrics::new()), Supervisor::new());
        let outbox = Outbox::start("events", metrics.clone(), &supervisor.tasks(), |()| {
            std::future::pending::<Result<(), Infallible>>()
        });
        (0..MOST_WAITING + 7).for_each(|_| outbox.put(()));
        let page = metrics.encode();
        assert!(page.contains("keyloan_events_failed_total 7"), "{page}");
    }

    #[tokio::test]
    async fn what_follows_a_failure_is_delivered() {
        let (metrics, supervisor) = (Arc::new(Metrics::new()), Supervisor::new());
        let (sender, mut delivered) = mpsc::unbounded_channel();
        let outbox = Outbox::start(
            "events",
            metrics.clone(),
            &supervisor.tasks(),
            move |next| {
                let outcome = match next {
                    1 => Err("no"),
                    next => sender.send(next).map_err(|_| "nobody is there"),
                };
                std::future::ready(outcome)
            },
        );
        [1, 2].into_iter().for_each(|next| outbox.put(next));
        assert_eq!(delivered.recv().await, Some(2));
        let page = metrics.encode();
        assert!(page.contains("keyloan_events_failed_total 1"), "{page}");
    }
}
