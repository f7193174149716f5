//! The work queue of a controller's passes. A pass reconciles one object; an object never has two
//! passes at the same time, and has another one when something changed or when it is due.
//!
//! A limited number of passes run at the same time, the most urgent first. A pass that waits for
//! something slow releases its slot and delays no other object. Unlike kube's controller, this
//! queue also covers objects that are gone, follows the wall clock, defers passes that can wait,
//! and ends the operator when a pass panics instead of falling silent.

mod pass;
mod queue;

use std::fmt::Display;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Clock;
use crate::telemetry::Metrics;

use queue::{AT_LEAST_EVERY, Queue};

pub use pass::{Class, Outcome, Urgency};

/// The objects of one controller that need a pass. Clones are the same queue.
pub struct WorkQueue<K>(Arc<Shared<K>>);

struct Shared<K> {
    name: &'static str,
    clock: Clock,
    metrics: Arc<Metrics>,
    queue: Mutex<Queue<K>>,
    added: Notify,
}

/// A pass panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pass of the {0} controller panicked; see the log for the location")]
pub struct PassPanicked(&'static str);

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Clone + Eq + Hash + Display + Send + Sync + 'static> WorkQueue<K> {
    /// An empty queue for the controller with this name.
    pub fn new(name: &'static str, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let (queue, added) = (Mutex::new(Queue::new()), Notify::new());
        Self(Arc::new(Shared {
            name,
            clock,
            metrics,
            queue,
            added,
        }))
    }

    /// Requests a pass over this object. Several requests before the pass begins cause one pass; a
    /// request before the queue [runs](Self::run) causes none.
    pub fn enqueue(&self, key: K) {
        self.put(|queue| queue.enqueue(key));
    }

    /// Requests a pass for something that was waited for and is now possible: it does not wait
    /// behind new objects.
    pub fn resume(&self, key: K) {
        self.put(|queue| queue.resume(key));
    }

    /// Call this in the current pass over this object before it waits for something slow: from then
    /// on it takes no slot. Something else has to bound the wait.
    pub fn release_slot(&self, key: &K) {
        self.lock().release_slot(key);
        self.0.added.notify_one();
    }

    /// Waits in the current pass over this object until another pass is requested. A request since
    /// the pass began counts, too; each one once.
    pub async fn requeued(&self, key: &K) {
        let told = self.lock().notify_of(key);
        match told {
            Some(told) => told.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Runs the passes, first over all existing objects. `classify` sets the urgency of each pass
    /// when it is requested. Returns only when a pass panics.
    pub async fn run<I, F, P>(
        self,
        all: impl FnOnce() -> I,
        classify: impl Fn(&K) -> Class + Send + Sync + 'static,
        pass: F,
    ) -> Result<(), PassPanicked>
    where
        I: IntoIterator<Item = K>,
        F: Fn(K) -> P,
        P: Future<Output = Outcome> + Send + 'static,
    {
        self.lock().classify = Some(Box::new(classify));
        // Objects that appear during this lookup are requested already.
        all().into_iter().for_each(|key| self.enqueue(key));
        let mut passing: JoinSet<(K, Outcome)> = JoinSet::new();
        let mut jumps = self.0.clock.jumps();
        loop {
            let (begin, next_wake) = self.begin();
            for key in begin {
                let pass = pass(key.clone());
                passing.spawn(async move { (key, pass.await) });
            }
            let wait = next_wake.map_or(AT_LEAST_EVERY, |at| at.duration_since(self.0.clock.now()));
            let wait = wait.clamp(SignedDuration::ZERO, AT_LEAST_EVERY);
            tokio::select! {
                Some(ended) = passing.join_next() => match ended {
                    Ok((key, outcome)) => self.end(key, outcome),
                    Err(_) => return Err(PassPanicked(self.0.name)),
                },
                () = self.0.added.notified() => {}
                () = tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()) => {}
                Ok(()) = jumps.changed() => self.lock().enqueue_all_that_wait(),
            }
        }
    }

    fn put(&self, put: impl FnOnce(&mut Queue<K>)) {
        let mut queue = self.lock();
        put(&mut queue);
        self.show_depth(&queue);
        drop(queue);
        self.0.added.notify_one();
    }

    /// The passes to begin now, and when the next one is due.
    fn begin(&self) -> (Vec<K>, Option<Timestamp>) {
        let mut queue = self.lock();
        let begun = queue.take(self.0.clock.now());
        self.show_depth(&queue);
        begun
    }

    fn show_depth(&self, queue: &Queue<K>) {
        self.0
            .metrics
            .operator
            .queue_depth(self.0.name, queue.waiting);
    }

    fn end(&self, key: K, outcome: Outcome) {
        tracing::debug!(controller = self.0.name, object = %key, outcome = outcome.word(), "pass");
        self.0.metrics.operator.pass(self.0.name, outcome.word());
        self.lock().end(key, outcome, self.0.clock.now());
    }

    fn lock(&self) -> MutexGuard<'_, Queue<K>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn passes() -> (WorkQueue<&'static str>, Clock) {
        let clock = Clock::system();
        (
            WorkQueue::new("test", clock.clone(), Arc::new(Metrics::new())),
            clock,
        )
    }

    #[tokio::test]
    async fn a_pass_that_hangs_holds_up_no_other() {
        let (passes, _) = passes();
        let (sender, mut done) = mpsc::unbounded_channel();
        let running = tokio::spawn(passes.run(
            || ["hung", "fine"],
            |_| Class::of(Urgency::Request),
            move |key| {
                let sender = sender.clone();
                async move {
                    if key == "hung" {
                        std::future::pending::<()>().await;
                    }
                    sender.send(key).ok();
                    Outcome::Waiting(None)
                }
            },
        ));
        assert_eq!(done.recv().await, Some("fine"));
        running.abort();
    }

    #[tokio::test]
    async fn a_pass_that_hangs_learns_that_its_object_is_asked_for_again() {
        let (passes, _) = passes();
        let (sender, mut done) = mpsc::unbounded_channel();
        let (asking, heard) = (passes.clone(), passes.clone());
        let running = tokio::spawn(passes.run(
            || ["hung"],
            |_| Class::of(Urgency::Request),
            move |key| {
                let (sender, heard) = (sender.clone(), heard.clone());
                async move {
                    sender.send("begins").ok();
                    heard.requeued(&key).await;
                    sender.send("hears").ok();
                    Outcome::Waiting(None)
                }
            },
        ));
        assert_eq!(done.recv().await, Some("begins"));
        // Whether the pass is listening by now or not.
        asking.enqueue("hung");
        assert_eq!(done.recv().await, Some("hears"));
        assert_eq!(done.recv().await, Some("begins"), "and is looked at again");
        running.abort();
    }

    #[tokio::test]
    async fn a_jump_of_the_clock_wakes_everything_that_waits() {
        let (passes, clock) = passes();
        let (sender, mut done) = mpsc::unbounded_channel();
        let running = tokio::spawn(passes.run(
            || ["a"],
            |_| Class::of(Urgency::Request),
            move |key| {
                sender.send(key).ok();
                async { Outcome::Waiting(None) }
            },
        ));
        assert_eq!(done.recv().await, Some("a"));
        tokio::task::yield_now().await;
        clock.advance(SignedDuration::from_mins(1));
        assert_eq!(done.recv().await, Some("a"));
        running.abort();
    }

    #[tokio::test]
    async fn who_waits_for_its_turn_gathers_nothing_and_begins_with_all_that_there_is() {
        let (passes, _) = passes();
        for key in ["gone", "there"] {
            passes.enqueue(key);
        }
        assert!(passes.lock().holds_nothing());
        let (sender, mut done) = mpsc::unbounded_channel();
        let running = tokio::spawn(passes.run(
            || ["there"],
            |_| Class::of(Urgency::Request),
            move |key| {
                sender.send(key).ok();
                async { Outcome::Waiting(None) }
            },
        ));
        assert_eq!(done.recv().await, Some("there"));
        assert!(done.try_recv().is_err());
        running.abort();
    }

    #[tokio::test]
    async fn a_panic_ends_the_run() {
        let (passes, _) = passes();
        let outcome = passes
            .run(
                || ["a"],
                |_| Class::of(Urgency::Request),
                |_| async { panic!("planted") },
            )
            .await;
        assert_eq!(outcome, Err(PassPanicked("test")));
    }
}
