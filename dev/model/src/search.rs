//! A search through every state within the bounds, with few bytes for each.
//!
//! The states are visited by how much is left of their bounds, those with the most first. So the
//! states that make others superfluous (see `seen.rs`) come before them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use stateright::{Expectation, Model as _, Property};

use crate::Loan;
use crate::happens::Action;
use crate::packed::Packed;
use crate::seen::Seen;
use crate::state::State;

/// How a search is done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The number of threads.
    pub threads: usize,
    /// Whether to remember how each state came about: for a story, which is then a shortest one
    /// among those with as few troubles. One thread does it.
    pub tells: bool,
    /// The size of the set of states and of the work, in bytes, at which the search is given up.
    pub most: usize,
}

/// A search that runs, or has ended.
pub struct Search<'a> {
    model: &'a Loan,
    options: Options,
    promises: Vec<Property<Loan>>,
    seen: Seen,
    steps: AtomicUsize,
    layers: Vec<Mutex<Vec<Vec<Item>>>>,
    layer: AtomicUsize,
    waiting: AtomicUsize,
    stops: AtomicBool,
    /// What was seen of what has to be seen sometimes.
    examples: Mutex<Vec<&'static str>>,
    found: Mutex<Option<Found>>,
    told: Mutex<Vec<(u32, Action)>>,
    shared: Mutex<Shared>,
    changed: Condvar,
    each: Option<Each<'a>>,
}

/// What is done with each state that is new.
type Each<'a> = Box<dyn Fn(&State) + Sync + 'a>;

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name.
    pub promise: &'static str,
    /// The state in which it is broken.
    pub state: State,
    /// What has happened, if the search tells it.
    pub story: Vec<Action>,
}

/// How far a search has got.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The states that were seen, without those that others make superfluous.
    pub states: usize,
    /// The states that were reached, each as often as it was.
    pub reached: usize,
    /// The states that wait.
    pub waiting: usize,
    /// What may still happen in the states that are visited now.
    pub left: usize,
    /// The size of the set of states and of the work, in bytes.
    pub size: usize,
}

/// A state that waits, and its place in what is told.
#[derive(Clone, Copy)]
struct Item {
    state: Packed,
    told: u32,
}

/// What the threads hand each other.
#[derive(Default)]
struct Shared {
    work: Vec<Vec<Item>>,
    idle: usize,
    is_done: bool,
}

/// So many states are handed from one thread to another.
const SHARE: usize = 4096;

impl<'a> Search<'a> {
    /// A search that has not begun.
    pub fn new(model: &'a Loan, options: Options) -> Self {
        let layers = model.bounds.sum() + 1;
        Self {
            model,
            options,
            promises: model.properties(),
            seen: Seen::default(),
            steps: AtomicUsize::new(0),
            layers: (0..layers).map(|_| Mutex::default()).collect(),
            layer: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            stops: AtomicBool::new(false),
            examples: Mutex::default(),
            found: Mutex::default(),
            told: Mutex::default(),
            shared: Mutex::default(),
            changed: Condvar::new(),
            each: None,
        }
    }

    /// Calls this with each state that is new.
    pub fn each(&mut self, each: impl Fn(&State) + Sync + 'a) {
        self.each = Some(Box::new(each));
    }

    /// Searches until all is seen, or a promise is broken, or the search is stopped. Returns whether
    /// all was seen.
    pub fn run(&self) -> bool {
        let first = State::first(self.model);
        self.reach(&first, None, &mut VecDeque::new(), &mut self.nowhere());
        for rank in (0..self.layers.len()).rev() {
            self.layer.store(rank, Ordering::Relaxed);
            let work = std::mem::take(&mut *lock(&self.layers[rank]));
            let threads = if self.options.tells {
                1
            } else {
                self.options.threads
            };
            *lock(&self.shared) = Shared {
                work,
                ..Shared::default()
            };
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| self.visit(rank, threads));
                }
            });
            if self.stops.load(Ordering::Relaxed) {
                return false;
            }
        }
        true
    }

    /// Ends the search early.
    pub fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// The broken promise, if one is.
    pub fn found(&self) -> Option<Found> {
        lock(&self.found).clone()
    }

    /// What was seen of what has to be seen sometimes.
    pub fn examples(&self) -> Vec<&'static str> {
        lock(&self.examples).clone()
    }

    /// How far it has got.
    pub fn progress(&self) -> Progress {
        let waiting = self.waiting.load(Ordering::Relaxed);
        Progress {
            states: self.seen.count(),
            reached: self.steps.load(Ordering::Relaxed),
            waiting,
            left: self.layer.load(Ordering::Relaxed),
            size: self.seen.size() + waiting * size_of::<Item>(),
        }
    }

    fn nowhere(&self) -> Vec<Vec<Item>> {
        self.layers.iter().map(|_| Vec::new()).collect()
    }

    /// Visits the states of one layer.
    fn visit(&self, rank: usize, threads: usize) {
        let mut later = self.nowhere();
        let mut own = VecDeque::new();
        let mut actions = Vec::new();
        let (mut steps, mut visited) = (0, 0);
        while let Some(item) = self.next(&mut own, threads) {
            visited += 1;
            let (core, room) = item.state.split(self.model);
            if self.seen.is_outdone(core, room) {
                continue;
            }
            let Some(state) = item.state.state(self.model) else {
                continue;
            };
            actions.clear();
            self.model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                if let Some(next) = self.model.next_state(&state, action) {
                    steps += 1;
                    self.reach(&next, Some((item.told, action)), &mut own, &mut later);
                }
            }
            if visited >= 1024 {
                self.steps.fetch_add(steps, Ordering::Relaxed);
                self.waiting.fetch_sub(visited, Ordering::Relaxed);
                (steps, visited) = (0, 0);
                if self.progress().size > self.options.most {
                    self.stop();
                }
            }
            let is_long = own.len() > 4 * SHARE && threads > 1;
            if is_long && lock(&self.shared).work.len() < threads {
                let oldest = own.drain(..SHARE).collect();
                lock(&self.shared).work.push(oldest);
                self.changed.notify_one();
            }
        }
        self.steps.fetch_add(steps, Ordering::Relaxed);
        self.waiting.fetch_sub(visited, Ordering::Relaxed);
        debug_assert!(
            later[rank].is_empty(),
            "what belongs to a layer is visited in it"
        );
        for (layer, items) in later.into_iter().enumerate() {
            if !items.is_empty() {
                lock(&self.layers[layer]).push(items);
            }
        }
    }

    /// The next state to visit; `None` if the layer is done.
    fn next(&self, own: &mut VecDeque<Item>, threads: usize) -> Option<Item> {
        if self.stops.load(Ordering::Relaxed) {
            return None;
        }
        // The first one first gives the shortest stories, the last one first the least work at a
        // time.
        let next = |own: &mut VecDeque<Item>| match self.options.tells {
            true => own.pop_front(),
            false => own.pop_back(),
        };
        if let Some(item) = next(own) {
            return Some(item);
        }
        let mut shared = lock(&self.shared);
        loop {
            while let Some(work) = shared.work.pop() {
                own.extend(work);
                if !self.options.tells {
                    break;
                }
            }
            if let Some(item) = next(own) {
                return Some(item);
            }
            shared.idle += 1;
            if shared.idle == threads {
                shared.is_done = true;
                self.changed.notify_all();
            }
            while shared.work.is_empty() && !shared.is_done {
                if self.stops.load(Ordering::Relaxed) {
                    return None;
                }
                let wait = std::time::Duration::from_millis(20);
                let woken = self.changed.wait_timeout(shared, wait);
                shared = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
            if shared.is_done {
                return None;
            }
            shared.idle -= 1;
        }
    }

    /// Takes in a state: in this layer or a later one.
    fn reach(
        &self,
        state: &State,
        how: Option<(u32, Action)>,
        own: &mut VecDeque<Item>,
        later: &mut [Vec<Item>],
    ) {
        let packed = Packed::new(state);
        let (core, room) = packed.split(self.model);
        if !self.seen.is_new(core, room) {
            return;
        }
        if let Some(each) = &self.each {
            each(state);
        }
        let told = match how {
            Some(how) if self.options.tells => {
                let mut told = lock(&self.told);
                told.push(how);
                u32::try_from(told.len()).unwrap_or(u32::MAX)
            }
            _ => 0,
        };
        self.keep_promises(state, told);
        let item = Item {
            state: packed,
            told,
        };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let rank = packed.rank();
        if how.is_some() && rank == self.layer.load(Ordering::Relaxed) {
            own.push_back(item);
            return;
        }
        later[rank].push(item);
        if later[rank].len() >= SHARE || how.is_none() {
            lock(&self.layers[rank]).push(std::mem::take(&mut later[rank]));
        }
    }

    fn keep_promises(&self, state: &State, told: u32) {
        for promise in &self.promises {
            let holds = (promise.condition)(self.model, state);
            match promise.expectation {
                Expectation::Sometimes if holds => {
                    let mut examples = lock(&self.examples);
                    if !examples.contains(&promise.name) {
                        examples.push(promise.name);
                    }
                }
                Expectation::Always if !holds => {
                    let found = Found {
                        promise: promise.name,
                        state: *state,
                        story: self.story(told),
                    };
                    lock(&self.found).get_or_insert(found);
                    self.stop();
                }
                _ => {}
            }
        }
    }

    fn story(&self, mut told: u32) -> Vec<Action> {
        let all = lock(&self.told);
        let mut story = Vec::new();
        while let Some((before, action)) = told.checked_sub(1).and_then(|at| all.get(at as usize)) {
            story.push(*action);
            told = *before;
        }
        story.reverse();
        story
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
