//! Whose turn it is at an integration's account: renewals come before first links, and within each turns go round by requester, so that
//! whoever asks for much waits behind whoever asks for little.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

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
pub struct Turn(Option<Turns>);

struct Queue {
    free: usize,
    renewals: Round,
    first_links: Round,
}

/// Those who wait, in the order of their requesters.
#[derive(Default)]
struct Round {
    requesters: VecDeque<String>,
    waiting: HashMap<String, VecDeque<oneshot::Sender<Turn>>>,
}

impl Turns {
    /// So many at a time.
    pub fn new(at_a_time: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            free: at_a_time,
            renewals: Round::default(),
            first_links: Round::default(),
        })))
    }

    /// Waits for a turn. Whoever gives up waiting leaves the line.
    pub async fn turn(&self, order: Order, requester: &str) -> Turn {
        let turn = {
            let mut queue = self.lock();
            if queue.free > 0 {
                queue.free -= 1;
                return Turn(Some(self.clone()));
            }
            let (sender, turn) = oneshot::channel();
            let round = match order {
                Order::Renewal => &mut queue.renewals,
                Order::FirstLink => &mut queue.first_links,
            };
            round.push(requester, sender);
            turn
        };
        match turn.await {
            Ok(turn) => turn,
            // Senders are dropped with the line only, which this very handle keeps.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives a turn that has ended to whoever is next.
    fn pass_on(&self) {
        loop {
            let next = {
                let mut queue = self.lock();
                let next = queue.renewals.pop().or_else(|| queue.first_links.pop());
                if next.is_none() {
                    queue.free += 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // It gave up meanwhile; its turn must not be passed on by its own end, too.
                Err(mut unwanted) => unwanted.0 = None,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

impl Round {
    fn push(&mut self, requester: &str, sender: oneshot::Sender<Turn>) {
        match self.waiting.get_mut(requester) {
            Some(of_them) => {
                of_them.retain(|waiting| !waiting.is_closed());
                of_them.push_back(sender);
            }
            None => {
                self.requesters.push_back(requester.to_owned());
                let of_them = VecDeque::from([sender]);
                self.waiting.insert(requester.to_owned(), of_them);
            }
        }
    }

    /// The next one; its requester goes to the end of the round.
    fn pop(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some(requester) = self.requesters.pop_front() {
            let of_them = self.waiting.get_mut(&requester);
            let next = of_them.and_then(VecDeque::pop_front);
            if self
                .waiting
                .get(&requester)
                .is_some_and(|of_them| !of_them.is_empty())
            {
                self.requesters.push_back(requester);
            } else {
                self.waiting.remove(&requester);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    type Waiting = Pin<Box<dyn Future<Output = Turn>>>;

    /// Somebody gets in line.
    fn wait(turns: &Turns, order: Order, requester: &'static str) -> Waiting {
        let turns = turns.clone();
        let mut waiting: Waiting = Box::pin(async move { turns.turn(order, requester).await });
        assert!(served(&mut waiting).is_none(), "nothing is free");
        waiting
    }

    fn served(waiting: &mut Waiting) -> Option<Turn> {
        let mut context = Context::from_waker(Waker::noop());
        match waiting.as_mut().poll(&mut context) {
            std::task::Poll::Ready(turn) => Some(turn),
            std::task::Poll::Pending => None,
        }
    }

    /// In which order those who wait get their turns, each ending at once.
    fn order_of(busy: Turn, mut line: Vec<(&'static str, Waiting)>) -> Vec<&'static str> {
        let mut order = Vec::new();
        drop(busy);
        while !line.is_empty() {
            let next = line
                .iter_mut()
                .position(|(_, waiting)| served(waiting).is_some());
            order.push(line.remove(next.expect("somebody is next")).0);
        }
        order
    }

    #[tokio::test]
    async fn turns_go_round_by_requester_and_renewals_come_first() {
        let turns = Turns::new(1);
        let busy = turns.turn(Order::FirstLink, "mallory").await;
        let mut line = Vec::new();
        for name in ["m1", "m2", "m3"] {
            line.push((name, wait(&turns, Order::FirstLink, "mallory")));
        }
        line.push(("a1", wait(&turns, Order::FirstLink, "alice")));
        line.push(("b1", wait(&turns, Order::FirstLink, "bob")));
        line.push(("a2", wait(&turns, Order::FirstLink, "alice")));
        line.push(("renewal", wait(&turns, Order::Renewal, "carol")));
        let order = order_of(busy, line);
        assert_eq!(order, ["renewal", "m1", "a1", "b1", "m2", "a2", "m3"]);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_line_and_takes_no_turn() {
        let turns = Turns::new(2);
        let busy = turns.turn(Order::FirstLink, "alice").await;
        let other = turns.turn(Order::FirstLink, "alice").await;
        for _ in 0..100 {
            drop(wait(&turns, Order::FirstLink, "mallory"));
        }
        assert!(turns.lock().first_links.waiting["mallory"].len() <= 1);
        let mut served_unseen = wait(&turns, Order::FirstLink, "bob");
        drop(busy);
        // Bob's turn has come, and he gives up before he takes it.
        drop(std::mem::replace(
            &mut served_unseen,
            Box::pin(std::future::pending()),
        ));
        drop(other);
        assert_eq!(turns.lock().free, 2);
        assert!(turns.lock().first_links.requesters.is_empty());
    }
}
