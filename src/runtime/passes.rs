//! Passes: looks at one object after the other, never twice at the same one at a time, again when something changed or when it is time.
//!
//! A pass that takes long holds up no other object. Unlike kube's controller, it also looks at objects that are gone,
//! follows the wall clock, and ends the operator when a pass panics instead of falling silent.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
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

/// Each object is looked at again after so long at the latest.
const AT_LEAST_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// A failed pass is repeated after so long, then after twice as long, and so on.
const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(1);
/// So many passes in a row may do something; then something is wrong, and the object has to wait as if they had failed.
const MOST_IN_A_ROW: u32 = 20;
/// A failed pass is repeated after so long at the latest.
const LAST_RETRY: SignedDuration = SignedDuration::from_mins(5);

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something was done: the world is another one, look again at once.
    Applied,
    /// Nothing to do until then, or until something changes.
    Waiting(Option<Timestamp>),
    /// It could not be done; look again after a while.
    Failed,
    /// The object is gone and nothing is left to do: forget it.
    Gone,
}

impl Outcome {
    /// The word for it in metrics.
    fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Waiting(_) => "waiting",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }
}

/// The objects of one controller that are to be looked at. Clones are the same queue.
pub struct Passes<K>(Arc<Shared<K>>);

struct Shared<K> {
    name: &'static str,
    clock: Clock,
    metrics: Arc<Metrics>,
    queue: Mutex<Queue<K>>,
    added: Notify,
}

struct Queue<K> {
    /// Before its passes run, nothing is kept of what is asked for: a replica that waits for its turn would gather all that ever was.
    runs: bool,
    ready: VecDeque<K>,
    /// What is in `ready`, or is to be once its present pass has ended.
    asked: HashSet<K>,
    /// Each with who tells its pass that it is asked for again.
    passing: HashMap<K, Arc<Notify>>,
    wakes: HashMap<K, Timestamp>,
    due: BTreeMap<Timestamp, HashSet<K>>,
    failures: HashMap<K, u32>,
    /// How many passes in a row have done something.
    applied: HashMap<K, u32>,
}

/// A pass panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pass of the {0} controller panicked; where, the log says")]
pub struct PassPanicked(&'static str);

impl<K> Clone for Passes<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Clone + Eq + Hash + Display + Send + Sync + 'static> Passes<K> {
    /// An empty queue of the controller of this name.
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

    /// Asks for a pass over this object, soon. Asking several times before the pass begins asks for one; asking before the passes
    /// [run](Self::run) for none.
    pub fn ask(&self, key: K) {
        let mut queue = self.lock();
        if queue.runs {
            queue.ask(key);
            self.0.added.notify_one();
        }
    }

    /// For the pass over this object that is under way: waits until another one is asked for. What was asked for since the pass
    /// began counts, too; once each.
    pub async fn asked_again(&self, key: &K) {
        let asked = self.lock().passing.get(key).cloned();
        match asked {
            Some(asked) => asked.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Runs the passes, first over all that there is then; returns only when one of them panics.
    pub async fn run<I, F, P>(self, all: impl FnOnce() -> I, pass: F) -> Result<(), PassPanicked>
    where
        I: IntoIterator<Item = K>,
        F: Fn(K) -> P,
        P: Future<Output = Outcome> + Send + 'static,
    {
        self.lock().runs = true;
        // What comes while this is looked up is asked for already.
        all().into_iter().for_each(|key| self.ask(key));
        let mut passing: JoinSet<(K, Outcome)> = JoinSet::new();
        let mut jumps = self.0.clock.jumps();
        loop {
            let (begin, next_wake) = self.lock().take(self.0.clock.now());
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
                Ok(()) = jumps.changed() => self.lock().ask_for_all_that_wait(),
            }
        }
    }

    fn end(&self, key: K, outcome: Outcome) {
        tracing::debug!(controller = self.0.name, object = %key, outcome = outcome.word(), "pass");
        self.0.metrics.pass(self.0.name, outcome.word());
        self.lock().end(key, outcome, self.0.clock.now());
    }

    fn lock(&self) -> MutexGuard<'_, Queue<K>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    fn new() -> Self {
        Self {
            runs: false,
            ready: VecDeque::new(),
            asked: HashSet::new(),
            passing: HashMap::new(),
            wakes: HashMap::new(),
            due: BTreeMap::new(),
            failures: HashMap::new(),
            applied: HashMap::new(),
        }
    }

    fn ask(&mut self, key: K) {
        let is_new = self.asked.insert(key.clone());
        match self.passing.get(&key) {
            Some(asked) => asked.notify_one(),
            None if is_new => self.ready.push_back(key),
            None => {}
        }
    }

    fn ask_for_all_that_wait(&mut self) {
        let waiting: Vec<K> = self.wakes.keys().cloned().collect();
        waiting.into_iter().for_each(|key| self.ask(key));
    }

    /// What is to begin now, and when something else will be due.
    fn take(&mut self, now: Timestamp) -> (Vec<K>, Option<Timestamp>) {
        while let Some(entry) = self.due.first_entry().filter(|entry| *entry.key() <= now) {
            for key in entry.remove() {
                self.wakes.remove(&key);
                self.ask(key);
            }
        }
        let begin: Vec<K> = self.ready.drain(..).collect();
        for key in &begin {
            self.asked.remove(key);
            self.passing.insert(key.clone(), Arc::default());
            self.forget_wake(key);
        }
        (begin, self.due.first_key_value().map(|(at, _)| *at))
    }

    fn end(&mut self, key: K, outcome: Outcome, now: Timestamp) {
        self.passing.remove(&key);
        let outcome = self.unless_in_a_circle(&key, outcome);
        if outcome != Outcome::Failed {
            self.failures.remove(&key);
        }
        let later = |by| now.saturating_add(by).unwrap_or(Timestamp::MAX);
        match outcome {
            Outcome::Applied => self.ask(key.clone()),
            Outcome::Waiting(until) => {
                let latest = later(AT_LEAST_EVERY);
                self.wake(key.clone(), until.map_or(latest, |until| until.min(latest)));
            }
            Outcome::Failed => {
                let failures = self.failures.entry(key.clone()).or_default();
                let wait = (FIRST_RETRY * (1_i32 << (*failures).min(10))).min(LAST_RETRY);
                *failures += 1;
                self.wake(key.clone(), later(wait));
            }
            Outcome::Gone => {}
        }
        // Asked for during the pass: only now it may begin.
        if self.asked.contains(&key) && !self.ready.contains(&key) {
            self.ready.push_back(key);
        }
    }

    /// A plan that never comes to rest would go round as fast as it can, and may ask 1Password each time.
    fn unless_in_a_circle(&mut self, key: &K, outcome: Outcome) -> Outcome {
        if outcome != Outcome::Applied {
            self.applied.remove(key);
            return outcome;
        }
        let in_a_row = self.applied.entry(key.clone()).or_default();
        *in_a_row += 1;
        match *in_a_row <= MOST_IN_A_ROW {
            true => Outcome::Applied,
            false => Outcome::Failed,
        }
    }

    fn wake(&mut self, key: K, at: Timestamp) {
        self.forget_wake(&key);
        self.wakes.insert(key.clone(), at);
        self.due.entry(at).or_default().insert(key);
    }

    fn forget_wake(&mut self, key: &K) {
        let Some(at) = self.wakes.remove(key) else {
            return;
        };
        if let Some(keys) = self.due.get_mut(&at) {
            keys.remove(key);
            if keys.is_empty() {
                self.due.remove(&at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    #[test]
    fn asking_twice_is_one_pass_and_asking_during_a_pass_is_another_one_after_it() {
        let mut queue = Queue::new();
        queue.ask("a");
        queue.ask("a");
        assert_eq!(queue.take(at(0)).0, ["a"]);
        queue.ask("a");
        assert!(queue.take(at(0)).0.is_empty(), "never twice at a time");
        queue.end("a", Outcome::Waiting(None), at(0));
        assert_eq!(queue.take(at(0)).0, ["a"]);
    }

    #[test]
    fn a_pass_that_waits_is_repeated_when_it_is_time_and_after_ten_minutes_at_the_latest() {
        let mut queue = Queue::new();
        for (key, until) in [
            ("soon", Some(at(5))),
            ("late", Some(at(9_999))),
            ("open", None),
        ] {
            queue.ask(key);
            queue.take(at(0));
            queue.end(key, Outcome::Waiting(until), at(0));
        }
        assert_eq!(queue.take(at(4)), (vec![], Some(at(5))));
        assert_eq!(queue.take(at(5)).0, ["soon"]);
        let mut last = queue.take(at(600)).0;
        last.sort_unstable();
        assert_eq!(last, ["late", "open"]);
    }

    #[test]
    fn failures_are_repeated_ever_more_slowly_until_one_succeeds() {
        let mut queue = Queue::new();
        let mut now = at(0);
        let mut waits = vec![];
        for outcome in [Outcome::Failed; 11]
            .into_iter()
            .chain([Outcome::Waiting(Some(at(0)))])
        {
            queue.ask("a");
            queue.take(now);
            queue.end("a", outcome, now);
            let next = queue.wakes["a"];
            waits.push(next.duration_since(now).as_secs());
            now = next;
        }
        assert_eq!(waits[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(queue.failures.is_empty());
    }

    #[test]
    fn what_is_gone_is_forgotten_entirely() {
        let mut queue = Queue::new();
        queue.ask("a");
        queue.take(at(0));
        queue.end("a", Outcome::Gone, at(0));
        assert_eq!(queue.take(at(1_000_000)), (vec![], None));
        queue.ask_for_all_that_wait();
        assert!(queue.take(at(1_000_000)).0.is_empty());
    }

    #[test]
    fn a_plan_that_never_comes_to_rest_is_slowed_down() {
        let mut queue = Queue::new();
        queue.ask("a");
        let mut passes = 0;
        while passes < 1000 && !queue.take(at(0)).0.is_empty() {
            passes += 1;
            queue.end("a", Outcome::Applied, at(0));
        }
        assert_eq!(passes, MOST_IN_A_ROW + 1);
        assert_eq!(queue.take(at(1)).0, ["a"], "it is tried again later");
        queue.end("a", Outcome::Waiting(None), at(1));
        queue.ask("a");
        queue.take(at(1));
        queue.end("a", Outcome::Applied, at(1));
        assert_eq!(
            queue.take(at(1)).0,
            ["a"],
            "after a rest it may act at once again"
        );
    }

    fn passes() -> (Passes<&'static str>, Clock) {
        let clock = Clock::system();
        (
            Passes::new("test", clock.clone(), Arc::new(Metrics::new())),
            clock,
        )
    }

    #[tokio::test]
    async fn a_pass_that_hangs_holds_up_no_other() {
        let (passes, _) = passes();
        let (sender, mut done) = mpsc::unbounded_channel();
        let running = tokio::spawn(passes.run(
            || ["hung", "fine"],
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
            move |key| {
                let (sender, heard) = (sender.clone(), heard.clone());
                async move {
                    sender.send("begins").ok();
                    heard.asked_again(&key).await;
                    sender.send("hears").ok();
                    Outcome::Waiting(None)
                }
            },
        ));
        assert_eq!(done.recv().await, Some("begins"));
        // Whether the pass is listening by now or not.
        asking.ask("hung");
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
            passes.ask(key);
        }
        assert!(passes.lock().ready.is_empty() && passes.lock().asked.is_empty());
        let (sender, mut done) = mpsc::unbounded_channel();
        let running = tokio::spawn(passes.run(
            || ["there"],
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
        let outcome = passes.run(|| ["a"], |_| async { panic!("planted") }).await;
        assert_eq!(outcome, Err(PassPanicked("test")));
    }
}
