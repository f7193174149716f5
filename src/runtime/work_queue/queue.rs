//! Which object's pass begins next: the most urgent first, those of one urgency round by owner, and only so many at a time.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::pass::{Class, Outcome, Urgency};
use crate::runtime::FairQueue;

/// Each object is looked at again after so long at the latest, most of them somewhat earlier: never all at once.
pub(super) const AT_LEAST_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// By up to so much earlier.
const SPREAD: SignedDuration = SignedDuration::from_mins(2);
/// A failed pass is repeated after so long, then after twice as long, and so on.
const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(1);
/// So many passes in a row may do something; then something is wrong, and the object has to wait as if they had failed.
pub(super) const MOST_IN_A_ROW: u32 = 20;
/// A failed pass is repeated after so long at the latest.
const LAST_RETRY: SignedDuration = SignedDuration::from_mins(5);
/// So many passes are under way at a time: what they do is mostly to wait for the API server, which takes no more calls at a time.
const AT_A_TIME: usize = 16;
/// So many more, of those that cannot wait.
const URGENT_AT_A_TIME: usize = 8;

/// Says how urgent an object's pass is, and whose it is.
pub(super) type Classify<K> = Box<dyn Fn(&K) -> Class + Send + Sync>;

pub(super) struct Queue<K> {
    /// Before its passes run, nothing is kept of what is asked for: a replica that waits for its turn would gather all that ever was.
    pub(super) classify: Option<Classify<K>>,
    ready: BTreeMap<Urgency, FairQueue<K>>,
    /// What is in `ready`, or is to be once its present pass has ended.
    queued: HashMap<K, Queued>,
    passing: HashMap<K, Passing>,
    /// How many of those that pass count.
    busy: usize,
    wakes: HashMap<K, Wake>,
    due: BTreeMap<Timestamp, HashSet<K>>,
    failures: HashMap<K, u32>,
    /// How many passes in a row have done something.
    applied: HashMap<K, u32>,
    spread: RandomState,
}

/// How an object stands in the lines.
#[derive(Default)]
struct Queued {
    /// `None` if it has had its pass, and is in lines only because it was asked for more urgently.
    urgency: Option<Urgency>,
    /// The lines that hold it.
    lines: BTreeSet<Urgency>,
}

/// A pass that is under way.
#[derive(Default)]
struct Passing {
    /// Its object is asked for again.
    again: Option<Class>,
    /// Tells it so.
    requeued: Arc<Notify>,
    /// It waits for something slow, and its place is another's.
    has_released_slot: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wake {
    at: Timestamp,
    /// Nothing is due then; the object is only not to be forgotten.
    routine: bool,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    pub(super) fn new() -> Self {
        Self {
            classify: None,
            ready: BTreeMap::new(),
            queued: HashMap::new(),
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

    /// What was begun with an object goes on.
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

    /// Who tells a pass that is under way that its object is asked for again.
    pub(super) fn notify_of(&self, key: &K) -> Option<Arc<Notify>> {
        self.passing
            .get(key)
            .map(|passing| passing.requeued.clone())
    }

    /// What is to begin now, and when something else will be due.
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

    /// What is next, if there is a place for it.
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
                    return Some(key);
                }
            }
        }
        None
    }

    /// A pass waits for something slow: another may begin in its place.
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
        // Asked for during the pass: only now it may begin.
        if let Some(class) = passed.again {
            self.put(key, class);
        }
    }

    /// Some time before that.
    fn with_jitter(&self, key: &K, latest: Timestamp) -> Timestamp {
        let of_spread = self.spread.hash_one((key, latest.as_second()));
        let earlier = SPREAD.as_millis().unsigned_abs().max(1);
        let by = i64::try_from(u128::from(of_spread) % earlier).unwrap_or_default();
        let earlier = latest.checked_sub(SignedDuration::from_millis(by));
        earlier.unwrap_or(latest)
    }

    /// A plan that never comes to rest would go round as fast as it can, and may ask 1Password each time.
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
    /// Whether nothing is left of any object.
    pub(super) fn holds_nothing(&self) -> bool {
        let lines_are_empty = self.ready.values().all(FairQueue::is_empty);
        let maps_are_empty = self.queued.is_empty()
            && self.passing.is_empty()
            && self.wakes.is_empty()
            && self.due.is_empty()
            && self.failures.is_empty()
            && self.applied.is_empty();
        lines_are_empty && maps_are_empty && self.busy == 0
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
