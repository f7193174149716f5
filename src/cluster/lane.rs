//! One lane of an index: its objects in order, and what is counted of them, kept up so that no look counts thousands.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::cache::Key;

/// When an object was made, in seconds, and what tells it from others of that second.
pub type Rank = (i64, String);

/// What is counted of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Of a request that waits for a decision: its flow, by [`flow_mark`](super::flow_mark).
    pub waits_by: Option<u64>,
    /// Of a request: nobody has looked at it yet.
    pub is_new: bool,
}

/// What some objects come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// At how many nobody has looked yet.
    pub new: u32,
    /// How many others there are.
    pub known: u32,
    /// How many wait for a decision, by flow.
    pub waiting: HashMap<u64, u32>,
}

impl Line {
    fn add(&mut self, tally: Tally) {
        *self.counter(tally) += 1;
        if let Some(flow) = tally.waits_by {
            *self.waiting.entry(flow).or_default() += 1;
        }
    }

    fn subtract(&mut self, tally: Tally) {
        let counter = self.counter(tally);
        *counter = counter.saturating_sub(1);
        if let Some(flow) = tally.waits_by
            && let Some(waiting) = self.waiting.get_mut(&flow)
        {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(&flow);
            }
        }
    }

    fn counter(&mut self, tally: Tally) -> &mut u32 {
        match tally.is_new {
            true => &mut self.new,
            false => &mut self.known,
        }
    }
}

/// The objects of one lane.
pub(super) struct Lane<K> {
    objects: BTreeMap<(Rank, Arc<Key>), (Tally, Arc<K>)>,
    all: Line,
}

impl<K> Default for Lane<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            all: Line::default(),
        }
    }
}

impl<K> Lane<K> {
    pub(super) fn insert(&mut self, rank: Rank, key: Arc<Key>, tally: Tally, object: Arc<K>) {
        let before = self.objects.insert((rank, key), (tally, object));
        if let Some((before, _)) = before {
            self.all.subtract(before);
        }
        self.all.add(tally);
    }

    pub(super) fn remove(&mut self, rank: Rank, key: &Arc<Key>) {
        if let Some((tally, _)) = self.objects.remove(&(rank, key.clone())) {
            self.all.subtract(tally);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// From the oldest on.
    pub(super) fn objects(&self) -> impl DoubleEndedIterator<Item = &Arc<K>> {
        self.objects.values().map(|(_, object)| object)
    }

    /// What all of them come to.
    pub(super) fn all(&self) -> &Line {
        &self.all
    }

    /// What those before this rank come to: counted from whichever end is nearer to it.
    pub(super) fn before(&self, rank: &Rank, mut visit: impl FnMut()) -> Line {
        let (mut before, mut not_after) = (Line::default(), self.all.clone());
        let (mut oldest, mut newest) = (self.objects.iter(), self.objects.iter().rev());
        loop {
            visit();
            match oldest.next() {
                Some(((other, _), (tally, _))) if other < rank => before.add(*tally),
                _ => return before,
            }
            match newest.next() {
                Some(((other, _), (tally, _))) if other >= rank => not_after.subtract(*tally),
                _ => return not_after,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(number: u32) -> Rank {
        (i64::from(number / 2), format!("{number:03}"))
    }

    fn tally(number: u32) -> Tally {
        Tally {
            waits_by: (!number.is_multiple_of(3)).then_some(u64::from(number % 2)),
            is_new: number.is_multiple_of(5),
        }
    }

    fn lane(numbers: impl IntoIterator<Item = u32>) -> Lane<()> {
        let mut lane = Lane::default();
        for number in numbers {
            let key = Arc::new(Key::new("ns", number.to_string()));
            lane.insert(rank(number), key, tally(number), Arc::new(()));
        }
        lane
    }

    fn line(numbers: impl IntoIterator<Item = u32>) -> Line {
        let mut line = Line::default();
        numbers.into_iter().for_each(|n| line.add(tally(n)));
        line
    }

    #[test]
    fn what_is_before_a_rank_is_counted_from_the_nearer_end() {
        let lane = lane(0..100);
        for number in 0..=100 {
            let mut visits = 0;
            let before = lane.before(&rank(number), || visits += 1);
            assert_eq!(before, line(0..number), "before {number}");
            assert!(visits <= number.min(100 - number) + 1, "{number}: {visits}");
        }
        assert_eq!(lane.all(), &line(0..100));
    }

    #[test]
    fn what_leaves_or_changes_is_counted_no_more() {
        let mut lane = lane(0..10);
        let key = |number: u32| Arc::new(Key::new("ns", number.to_string()));
        lane.remove(rank(4), &key(4));
        lane.remove(rank(4), &key(4));
        lane.insert(rank(7), key(7), tally(5), Arc::new(()));
        let left = [0, 1, 2, 3, 5, 6, 5, 8, 9];
        assert_eq!(lane.all(), &line(left));
        for number in [0, 1, 2, 3, 5, 6, 7, 8, 9] {
            lane.remove(rank(number), &key(number));
        }
        assert!(lane.is_empty());
        // What is there no more leaves nothing behind.
        assert_eq!(lane.objects().count(), 0);
    }
}
