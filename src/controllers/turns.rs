//! Whose turn it is at an integration's account: renewals come before first links, and within each turns go round by requester, so that
//! whoever asks for much waits behind whoever asks for little.
//!
//! Nobody waits for a turn: who finds none free gets in line, and is given one when it comes up.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::runtime::Line;

/// What a turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The next link of a loan that runs.
    Renewal,
    /// The first link of a loan.
    FirstLink,
}

/// The turns of one account, of which so many are taken at a time. Clones are the same turns.
#[derive(Clone)]
pub struct Turns(Arc<Mutex<Queue>>);

/// A turn, until it is dropped.
pub struct Turn(Turns);

struct Queue {
    free: usize,
    renewals: Line<InLine>,
    first_links: Line<InLine>,
    /// The names of those in line.
    names: HashSet<String>,
}

struct InLine {
    name: String,
    comes_up: Box<dyn FnOnce(Turn) + Send>,
}

impl Turns {
    /// So many at a time.
    pub fn new(at_a_time: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            free: at_a_time,
            renewals: Line::default(),
            first_links: Line::default(),
            names: HashSet::new(),
        })))
    }

    /// Takes a turn if one is free. Else gets in line, once by each name: whoever does not want the turn any more when it comes up
    /// drops it.
    pub fn take(
        &self,
        order: Order,
        requester: &str,
        name: &str,
        comes_up: impl FnOnce(Turn) + Send + 'static,
    ) -> Option<Turn> {
        let mut queue = self.lock();
        if queue.free > 0 {
            queue.free -= 1;
            return Some(Turn(self.clone()));
        }
        if queue.names.insert(name.to_owned()) {
            let line = match order {
                Order::Renewal => &mut queue.renewals,
                Order::FirstLink => &mut queue.first_links,
            };
            let in_line = InLine {
                name: name.to_owned(),
                comes_up: Box::new(comes_up),
            };
            line.push(requester, in_line);
        }
        None
    }

    /// Gives a turn that has ended to whoever is next.
    fn pass_on(&self) {
        let next = {
            let mut queue = self.lock();
            let next = queue.renewals.pop().or_else(|| queue.first_links.pop());
            match &next {
                Some(next) => drop(queue.names.remove(&next.name)),
                None => queue.free += 1,
            }
            next
        };
        if let Some(next) = next {
            (next.comes_up)(Turn(self.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Somebody gets in line.
    fn wait(turns: &Turns, order: Order, who: (&'static str, &'static str), to: &Sender<Given>) {
        let (requester, name) = who;
        let to = to.clone();
        let taken = turns.take(order, requester, name, move |turn| {
            to.send((name, turn)).expect("somebody listens");
        });
        assert!(taken.is_none(), "nothing is free");
    }

    type Given = (&'static str, Turn);

    /// Who is given a turn that has come up, each ending at once, whether it was wanted or not.
    fn order_of(given: &Receiver<Given>) -> Vec<&'static str> {
        std::iter::from_fn(|| given.try_recv().ok().map(|(name, _)| name)).collect()
    }

    #[test]
    fn turns_go_round_by_requester_and_renewals_come_first() {
        let (turns, (sender, given)) = (Turns::new(1), channel());
        let busy = turns.take(Order::FirstLink, "mallory", "m0", drop);
        for (order, requester, name) in [
            (Order::FirstLink, "mallory", "m1"),
            (Order::FirstLink, "mallory", "m2"),
            // Who is in line already stays where they are.
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
        let (turns, (sender, given)) = (Turns::new(2), channel());
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
}
