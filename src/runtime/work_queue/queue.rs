//! Decides which object's pass begins next: the most urgent first, those of the same urgency in
//! rotation by owner, and only a limited number at the same time.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::pass::{Class, Outcome, Urgency};
use crate::runtime::FairQueue;

/// The longest time between two passes over an object. Most passes come somewhat earlier, so that
/// they never all begin at once.
pub(super) const AT_LEAST_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// How much earlier at most.
const SPREAD: SignedDuration = SignedDuration::from_mins(2);
/// The first wait after a failed pass; the wait doubles with each further failure.
const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(1);
/// How many passes in a row may change something. After that, something is wrong, and the object
/// waits as if its pass had failed.
pub(super) const MOST_IN_A_ROW: u32 = 20;
/// The longest wait after a failed pass.
const LAST_RETRY: SignedDuration = SignedDuration::from_mins(5);
/// How many passes run at the same time: they mostly wait for the API server, and the operator makes
/// no more calls to it at the same time.
const AT_A_TIME: usize = 16;
/// How many more may run if they cannot wait.
const URGENT_AT_A_TIME: usize = 8;

/// Returns the urgency and the owner of an object's pass.
pub(super) type Classify<K> = Box<dyn Fn(&K) -> Class + Send + Sync>;

pub(super) struct Queue<K> {
    /// Until the passes run, the queue drops all requests: a replica that waits to lead would
    /// otherwise collect every object that ever changed.
    pub(super) classify: Option<Classify<K>>,
    ready: BTreeMap<Urgency, FairQueue<K>>,
    /// The objects in `ready`, and those that will be there once their current pass has ended.
    queued: HashMap<K, Queued>,
    /// How many of them wait for a pass to begin.
    pub(super) waiting: usize,
    passing: HashMap<K, Passing>,
    /// How many of the current passes occupy a slot.
    busy: usize,
    wakes: HashMap<K, Wake>,
    due: BTreeMap<Timestamp, HashSet<K>>,
    failures: HashMap<K, u32>,
    /// How many passes in a row have changed something.
    applied: HashMap<K, u32>,
    spread: RandomState,
}

/// The entries of an object in the queues.
#[derive(Default)]
struct Queued {
    /// `None` if it has had its pass, and the remaining entries are left over from less urgent
    /// requests.
    urgency: Option<Urgency>,
    /// The queues that contain it.
    lines: BTreeSet<Urgency>,
}

/// A pass in progress.
#[derive(Default)]
struct Passing {
    /// Another pass over its object has been requested.
    again: Option<Class>,
    /// Notifies the pass of that.
    requeued: Arc<Notify>,
    /// It waits for something slow and has released its slot.
    has_released_slot: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wake {
    at: Timestamp,
    /// Nothing is due then; it only keeps the object from being forgotten.
    routine: bool,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    pub(super) fn new() -> Self {
        Self {
            classify: None,
            ready: BTreeMap::new(),
            queued: HashMap::new(),
            waiting: 0,
            passing: HashMap::new(),
            busy: 0,
            wakes: HashMap::new(),
            due: BTreeMap::new(),
            failures: HashMap::new(),
            applied: HashMap::new(),
            spread: RandomState::new(),
        }
    }

    pub(super) fn enqueue(&mut self, key: K) {
        if let Some(class) = self.classify.as_ref().map(|classify| classify(&key)) {
            self.put(key, class);
        }
    }

    /// Requests a pass for work in progress.
    pub(super) fn resume(&mut self, key: K) {
        if let Some(mut class) = self.classify.as_ref().map(|classify| classify(&key)) {
            class.urgency = class.urgency.min(Urgency::Begun);
            self.put(key, class);
        }
    }

    fn put(&mut self, key: K, class: Class) {
        if let Some(passing) = self.passing.get_mut(&key) {
            passing.requeued.notify_one();
            passing.again = match passing.again.take() {
                Some(again) if again.urgency <= class.urgency => Some(again),
                _ => Some(class),
            };
            return;
        }
        let queued = self.queued.entry(key.clone()).or_default();
        self.waiting += usize::from(queued.urgency.is_none());
        if queued.urgency.is_none_or(|urgency| class.urgency < urgency) {
            queued.urgency = Some(class.urgency);
            if queued.lines.insert(class.urgency) {
                let line = self.ready.entry(class.urgency).or_default();
                line.push(&class.owner, key);
            }
        }
    }

    pub(super) fn enqueue_all_that_wait(&mut self) {
        let waiting: Vec<K> = self.wakes.keys().cloned().collect();
        waiting.into_iter().for_each(|key| self.enqueue(key));
    }

    /// The notification of a pass in progress that another pass over its object is requested.
    pub(super) fn notify_of(&self, key: &K) -> Option<Arc<Notify>> {
        self.passing
            .get(key)
            .map(|passing| passing.requeued.clone())
    }

    /// The passes to begin now, and when the next one is due.
    pub(super) fn take(&mut self, now: Timestamp) -> (Vec<K>, Option<Timestamp>) {
        while let Some(entry) = self.due.first_entry().filter(|entry| *entry.key() <= now) {
            for key in entry.remove() {
                match self.wakes.remove(&key) {
                    Some(wake) if wake.routine => self.put(key, Class::routine()),
                    _ => self.enqueue(key),
                }
            }
        }
        let mut begin = Vec::new();
        while let Some(key) = self.pop() {
            self.passing.insert(key.clone(), Passing::default());
            self.busy += 1;
            self.forget_wake(&key);
            begin.push(key);
        }
        (begin, self.due.first_key_value().map(|(at, _)| *at))
    }

    /// The next object, if a slot is free for it.
    fn pop(&mut self) -> Option<K> {
        for (urgency, line) in &mut self.ready {
            let places = match urgency.cannot_wait() {
                true => AT_A_TIME + URGENT_AT_A_TIME,
                false => AT_A_TIME,
            };
            while self.busy < places
                && let Some(key) = line.pop()
            {
                let Some(queued) = self.queued.get_mut(&key) else {
                    continue;
                };
                queued.lines.remove(urgency);
                let is_asked_for = queued.urgency.take().is_some();
                if queued.lines.is_empty() {
                    self.queued.remove(&key);
                }
                if is_asked_for {
                    self.waiting -= 1;
                    return Some(key);
                }
            }
        }
        None
    }

    /// A pass waits for something slow: another one may use its slot.
    pub(super) fn release_slot(&mut self, key: &K) {
        if let Some(passing) = self.passing.get_mut(key)
            && !std::mem::replace(&mut passing.has_released_slot, true)
        {
            self.busy -= 1;
        }
    }

    pub(super) fn end(&mut self, key: K, outcome: Outcome, now: Timestamp) {
        let passed = self.passing.remove(&key).unwrap_or_default();
        if !passed.has_released_slot {
            self.busy -= 1;
        }
        let outcome = self.unless_looping(&key, outcome);
        if outcome != Outcome::Failed {
            self.failures.remove(&key);
        }
        match outcome {
            Outcome::Applied => self.resume(key.clone()),
            Outcome::Waiting(until) => {
                let latest = later(now, AT_LEAST_EVERY);
                let due = until.filter(|until| *until <= latest);
                let wake = Wake {
                    at: due.unwrap_or_else(|| self.with_jitter(&key, latest)),
                    routine: due.is_none(),
                };
                self.wake(key.clone(), wake);
            }
            Outcome::Failed => {
                let failures = self.failures.entry(key.clone()).or_default();
                let wait = (FIRST_RETRY * (1_i32 << (*failures).min(10))).min(LAST_RETRY);
                *failures += 1;
                let at = later(now, wait);
                self.wake(key.clone(), Wake { at, routine: false });
            }
            Outcome::Gone => {}
        }
        // A pass that was requested during this one may only begin now.
        if let Some(class) = passed.again {
            self.put(key, class);
        }
    }

    /// Some time before `latest`.
    fn with_jitter(&self, key: &K, latest: Timestamp) -> Timestamp {
        let of_spread = self.spread.hash_one((key, latest.as_second()));
        let earlier = SPREAD.as_millis().unsigned_abs().max(1);
        let by = i64::try_from(u128::from(of_spread) % earlier).unwrap_or_default();
        let earlier = latest.checked_sub(SignedDuration::from_millis(by));
        earlier.unwrap_or(latest)
    }

    /// A plan that never settles would loop at full speed, and might call 1Password each time.
    fn unless_looping(&mut self, key: &K, outcome: Outcome) -> Outcome {
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

    fn wake(&mut self, key: K, wake: Wake) {
        self.forget_wake(&key);
        self.wakes.insert(key.clone(), wake);
        self.due.entry(wake.at).or_default().insert(key);
    }

    fn forget_wake(&mut self, key: &K) {
        let Some(Wake { at, .. }) = self.wakes.remove(key) else {
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
impl<K: Clone + Eq + Hash> Queue<K> {
    /// Whether nothing is stored of any object.
    pub(super) fn holds_nothing(&self) -> bool {
        let lines_are_empty = self.ready.values().all(FairQueue::is_empty);
        let maps_are_empty = self.queued.is_empty()
            && self.passing.is_empty()
            && self.wakes.is_empty()
            && self.due.is_empty()
            && self.failures.is_empty()
            && self.applied.is_empty();
        lines_are_empty && maps_are_empty && self.busy == 0 && self.waiting == 0
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
