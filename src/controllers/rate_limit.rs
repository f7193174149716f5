//! Turns at an integration's account. Renewals precede first links, and within each class turns
//! rotate between requesters, so that a requester with many requests waits behind those with few.
//! The number of turns at a time and per minute is limited.
//!
//! Nobody waits for a turn: a caller that finds none free gets in line and receives one later.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::runtime::{Clock, FairQueue, Tasks};

/// The purpose of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The next link of a running loan.
    Renewal,
    /// The first link of a loan.
    FirstLink,
}

/// The turns of one account, of which a limited number is taken at a time. Clones share the same
/// turns.
#[derive(Clone)]
pub struct RateLimiter(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    clock: Clock,
    tasks: Tasks,
}

/// A turn, until it is dropped.
pub struct RateLimitSlot {
    turns: RateLimiter,
    is_used: bool,
}

struct Queue {
    free: usize,
    pace: Pace,
    renewals: FairQueue<InLine>,
    first_links: FairQueue<InLine>,
    /// The names of the callers in line.
    names: HashSet<String>,
}

struct InLine {
    name: String,
    comes_up: Box<dyn FnOnce(RateLimitSlot) + Send>,
}

impl RateLimiter {
    /// Allows this number at a time, without a limit per minute.
    pub fn new(at_a_time: usize, clock: Clock, tasks: Tasks) -> Self {
        let queue = Mutex::new(Queue {
            free: at_a_time,
            pace: Pace::default(),
            renewals: FairQueue::default(),
            first_links: FairQueue::default(),
            names: HashSet::new(),
        });
        Self(Arc::new(Shared {
            queue,
            clock,
            tasks,
        }))
    }

    /// Sets the limit per minute from now on.
    pub fn set_pace(&self, per_minute: u32) {
        self.lock().pace.set(per_minute);
    }

    /// Takes a turn if one is free. Otherwise gets in line, once for each name. A caller that no
    /// longer wants the turn when it comes drops it.
    pub fn take(
        &self,
        order: Order,
        requester: &str,
        name: &str,
        comes_up: impl FnOnce(RateLimitSlot) + Send + 'static,
    ) -> Option<RateLimitSlot> {
        let mut queue = self.lock();
        if queue.names.contains(name) {
            return None;
        }
        let is_first = queue.renewals.is_empty() && queue.first_links.is_empty();
        if is_first && queue.free > 0 && queue.pace.take(self.0.clock.stopwatch()) {
            queue.free -= 1;
            return Some(self.turn());
        }
        queue.names.insert(name.to_owned());
        let line = match order {
            Order::Renewal => &mut queue.renewals,
            Order::FirstLink => &mut queue.first_links,
        };
        let in_line = InLine {
            name: name.to_owned(),
            comes_up: Box::new(comes_up),
        };
        line.push(requester, in_line);
        drop(queue);
        self.serve();
        None
    }

    /// Gives free turns to the next callers in line.
    fn serve(&self) {
        while let Some(next) = self.next() {
            (next.comes_up)(self.turn());
        }
    }

    fn next(&self) -> Option<InLine> {
        let mut queue = self.lock();
        if queue.free == 0 || (queue.renewals.is_empty() && queue.first_links.is_empty()) {
            return None;
        }
        let now = self.0.clock.stopwatch();
        if !queue.pace.take(now) {
            if let Some(wait) = queue.pace.wait(now) {
                let turns = self.clone();
                self.0.tasks.run("pace of shares", async move {
                    tokio::time::sleep(wait).await;
                    turns.lock().pace.is_awaited = false;
                    turns.serve();
                });
            }
            return None;
        }
        let next = queue.renewals.pop().or_else(|| queue.first_links.pop())?;
        queue.names.remove(&next.name);
        queue.free -= 1;
        Some(next)
    }

    fn turn(&self) -> RateLimitSlot {
        RateLimitSlot {
            turns: self.clone(),
            is_used: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RateLimitSlot {
    /// Marks the turn as used: it counts in its minute.
    pub fn note_used(&mut self) {
        self.is_used = true;
    }
}

impl Drop for RateLimitSlot {
    fn drop(&mut self) {
        let mut queue = self.turns.lock();
        queue.free += 1;
        if !self.is_used {
            queue.pace.give_back();
        }
        drop(queue);
        self.turns.serve();
    }
}

/// The limit per minute: a minute's turns may be taken at once, then they return one by one.
#[derive(Default)]
struct Pace {
    /// No limit is set.
    per_minute: Option<u32>,
    left: f64,
    since: Option<Instant>,
    /// A task already waits for the next turn to return.
    is_awaited: bool,
}

impl Pace {
    fn set(&mut self, per_minute: u32) {
        if self.per_minute != Some(per_minute) {
            self.left = match self.per_minute {
                Some(_) => self.left.min(per_minute.into()),
                None => per_minute.into(),
            };
            self.per_minute = Some(per_minute);
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let Some(per_minute) = self.per_minute.map(f64::from) else {
            return true;
        };
        let passed = self
            .since
            .replace(now)
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.left = (self.left + passed.as_secs_f64() * per_minute / 60.0).min(per_minute);
        let is_there = self.left >= 1.0;
        if is_there {
            self.left -= 1.0;
        }
        is_there
    }

    fn give_back(&mut self) {
        self.left += 1.0;
    }

    /// The time until the next turn returns, if no task waits for it yet.
    fn wait(&mut self, now: Instant) -> Option<Duration> {
        let per_minute = f64::from(self.per_minute?.max(1));
        if std::mem::replace(&mut self.is_awaited, true) {
            return None;
        }
        let since = self.since.unwrap_or(now);
        let missing = (1.0 - self.left).max(0.0) * 60.0 / per_minute;
        let passed = now.saturating_duration_since(since);
        Some(Duration::from_secs_f64(missing).saturating_sub(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Supervisor;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A caller gets in line.
    fn wait(
        turns: &RateLimiter,
        order: Order,
        who: (&'static str, &'static str),
        to: &Sender<Given>,
    ) {
        let (requester, name) = who;
        let to = to.clone();
        let taken = turns.take(order, requester, name, move |turn| {
            to.send((name, turn)).expect("somebody listens");
        });
        assert!(taken.is_none(), "nothing is free");
    }

    type Given = (&'static str, RateLimitSlot);

    fn turns(at_a_time: usize) -> (RateLimiter, Supervisor) {
        let supervisor = Supervisor::new();
        let turns = RateLimiter::new(at_a_time, Clock::system(), supervisor.tasks());
        (turns, supervisor)
    }

    /// The order in which callers receive turns that end at once, wanted or not.
    fn order_of(given: &Receiver<Given>) -> Vec<&'static str> {
        std::iter::from_fn(|| given.try_recv().ok().map(|(name, _)| name)).collect()
    }

    #[test]
    fn turns_go_round_by_requester_and_renewals_come_first() {
        let ((turns, _supervisor), (sender, given)) = (turns(1), channel());
        let busy = turns.take(Order::FirstLink, "mallory", "m0", drop);
        for (order, requester, name) in [
            (Order::FirstLink, "mallory", "m1"),
            (Order::FirstLink, "mallory", "m2"),
            // A caller that is already in line keeps its position.
            (Order::FirstLink, "mallory", "m1"),
            (Order::FirstLink, "alice", "a1"),
            (Order::Renewal, "carol", "renewal"),
        ] {
            wait(&turns, order, (requester, name), &sender);
        }
        drop(busy.expect("it is free"));
        assert_eq!(order_of(&given), ["renewal", "m1", "a1", "m2"]);
        let queue = turns.lock();
        assert!(queue.free == 1 && queue.names.is_empty());
    }

    #[test]
    fn so_many_are_taken_at_a_time() {
        let ((turns, _supervisor), (sender, given)) = (turns(2), channel());
        let one = turns.take(Order::FirstLink, "alice", "a", drop);
        let other = turns.take(Order::FirstLink, "bob", "b", drop);
        assert!(one.is_some() && other.is_some());
        wait(&turns, Order::Renewal, ("carol", "c"), &sender);
        assert!(given.try_recv().is_err());
        drop(one);
        assert_eq!(order_of(&given), ["c"]);
        drop(other);
        assert_eq!(turns.lock().free, 2);
    }

    #[test]
    fn a_minutes_turns_may_be_taken_at_once_and_then_come_back_one_by_one() {
        let mut pace = Pace::default();
        let start = Clock::system().stopwatch();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!((0..1000).all(|_| pace.take(start)), "none is set");
        pace.set(6);
        assert!((0..6).all(|_| pace.take(start)) && !pace.take(start));
        assert_eq!(pace.wait(start), Some(Duration::from_secs(10)));
        assert_eq!(pace.wait(start), None, "somebody waits already");
        assert!(!pace.take(after(9)) && pace.take(after(10)) && !pace.take(after(10)));
        pace.give_back();
        assert!(pace.take(after(10)), "it was not used");
        assert!((0..6).all(|_| pace.take(after(1000))), "no more than that");
        assert!(!pace.take(after(1000)));
    }

    #[tokio::test]
    async fn whoever_is_in_line_for_the_pace_has_their_turn_when_it_comes() {
        let ((turns, _supervisor), (sender, given)) = (turns(4), channel());
        turns.set_pace(600);
        let mut taken = 0;
        while let Some(mut turn) = turns.take(Order::FirstLink, "alice", "a", drop) {
            turn.note_used();
            taken += 1;
        }
        assert!(taken >= 600);
        wait(&turns, Order::Renewal, ("carol", "c"), &sender);
        let received = tokio::task::spawn_blocking(move || given.recv()).await;
        let (name, _turn) = received.expect("no panic").expect("it comes up");
        assert_eq!(name, "c");
    }
}
