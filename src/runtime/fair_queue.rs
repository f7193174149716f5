//! A line in which turns go round by owner: whoever has much in it waits behind whoever has little.

use std::collections::{HashMap, VecDeque};

/// What waits, each thing its owner's. Each owner's own comes first in, first out.
#[derive(Debug)]
pub struct FairQueue<T> {
    owners: VecDeque<String>,
    waiting: HashMap<String, VecDeque<T>>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            owners: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }
}

impl<T> FairQueue<T> {
    /// Puts something at the end of what its owner has in the line.
    pub fn push(&mut self, owner: &str, what: T) {
        match self.waiting.get_mut(owner) {
            Some(of_them) => of_them.push_back(what),
            None => {
                self.owners.push_back(owner.to_owned());
                self.waiting
                    .insert(owner.to_owned(), VecDeque::from([what]));
            }
        }
    }

    /// What is next; its owner goes to the end of the round.
    pub fn pop(&mut self) -> Option<T> {
        let owner = self.owners.pop_front()?;
        let of_them = self.waiting.get_mut(&owner)?;
        let next = of_them.pop_front();
        match of_them.is_empty() {
            true => drop(self.waiting.remove(&owner)),
            false => self.owners.push_back(owner),
        }
        next
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round_by_owner_and_nothing_is_kept_of_who_has_left() {
        let mut line = FairQueue::default();
        for (owner, what) in [
            ("mallory", "m1"),
            ("mallory", "m2"),
            ("mallory", "m3"),
            ("alice", "a1"),
            ("bob", "b1"),
            ("alice", "a2"),
        ] {
            line.push(owner, what);
        }
        let order: Vec<_> = std::iter::from_fn(|| line.pop()).collect();
        assert_eq!(order, ["m1", "a1", "b1", "m2", "a2", "m3"]);
        assert!(line.is_empty() && line.waiting.is_empty());
    }
}
