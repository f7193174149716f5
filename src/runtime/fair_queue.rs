//! A queue that serves its owners in rotation: an owner with many entries waits behind one with
//! few.

use std::collections::{HashMap, VecDeque};

/// Entries that wait, each with an owner. Each owner's entries are served first in, first out.
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
    /// Adds an entry behind the others of its owner.
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

    /// Removes the next entry; its owner moves to the end of the rotation.
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

    /// Whether the queue is empty.
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
