//! One partition of an index: its objects in order, with running counts, so that no look has to
//! count thousands.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::key::Key;
use crate::plan::observed::Place;

/// When an object was created, in seconds, and what orders objects of the same second.
pub type Rank = (i64, String);

/// What is counted of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Of a request that waits for a decision: its flow, as [`flow_mark`](super::flow_mark).
    pub waits_by: Option<u64>,
    /// Of a request: the operator has not processed it yet.
    pub is_new: bool,
    /// Of a loan: the place that it takes within the limits of its flow, as
    /// [`flow_mark`](super::flow_mark).
    pub place: Option<(u64, Place)>,
}

/// The counts of some objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// How many have not been processed yet.
    pub new: u32,
    /// How many others there are.
    pub known: u32,
    /// How many wait for a decision, by flow.
    pub waiting: HashMap<u64, u32>,
}

impl QueueCounts {
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

/// An object in its partition.
pub(super) struct Entry<K> {
    pub rank: Rank,
    pub key: Arc<Key>,
    pub tally: Tally,
    pub object: Arc<K>,
}

/// The partitions of one mark. Most marks have only one object, which then needs no map.
pub(super) struct Partitions<K> {
    only: Option<(String, Entry<K>)>,
    more: BTreeMap<String, Partition<K>>,
}

impl<K> Default for Partitions<K> {
    fn default() -> Self {
        Self {
            only: None,
            more: BTreeMap::new(),
        }
    }
}

impl<K> Partitions<K> {
    pub(super) fn insert(&mut self, partition: String, placed: Entry<K>) {
        let is_same = |(of, only): &(String, Entry<K>)| {
            *of == partition && only.rank == placed.rank && only.key == placed.key
        };
        let other = self.only.take().filter(|only| !is_same(only));
        if other.is_none() && self.more.is_empty() {
            self.only = Some((partition, placed));
            return;
        }
        for (partition, placed) in other.into_iter().chain([(partition, placed)]) {
            self.more.entry(partition).or_default().insert(placed);
        }
    }

    pub(super) fn remove(&mut self, partition: &str, rank: Rank, key: &Arc<Key>) {
        self.only
            .take_if(|(of, only)| of == partition && only.rank == rank && only.key == *key);
        if let Some(those) = self.more.get_mut(partition) {
            those.remove(rank, key);
            if those.is_empty() {
                self.more.remove(partition);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.only.is_none() && self.more.is_empty()
    }

    /// The objects of each partition, the oldest first.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Arc<K>> {
        let only = self.only.iter().map(|(_, only)| &only.object);
        only.chain(self.more.values().flat_map(Partition::objects))
    }

    /// The newest objects of each partition, at most `most` of each.
    pub(super) fn newest(&self, most: usize) -> impl Iterator<Item = &Arc<K>> {
        let only = self.only.iter().map(|(_, only)| &only.object).take(most);
        only.chain(
            self.more
                .values()
                .flat_map(move |partition| partition.objects().rev().take(most)),
        )
    }

    /// The places that the loans of one partition take, and who holds them.
    pub(super) fn places(&self, partition: &str) -> impl Iterator<Item = (&Key, u64, Place)> {
        let only = self.only.iter().filter(move |(of, _)| of == partition);
        let only = only.map(|(_, only)| (&*only.key, only.tally));
        let more = self.more.get(partition).into_iter();
        let more = more.flat_map(|partition| partition.objects.iter());
        let more = more.map(|((_, key), (tally, _))| (&**key, *tally));
        only.chain(more)
            .filter_map(|(key, tally)| tally.place.map(|(flow, place)| (key, flow, place)))
    }

    /// The counts of the objects of one partition: of those before this rank, or of all.
    pub(super) fn queue_counts(
        &self,
        partition: &str,
        before: Option<&Rank>,
        visit: impl FnMut(),
    ) -> QueueCounts {
        let mut counts = QueueCounts::default();
        let only = self.only.iter().filter(|(of, _)| of == partition);
        for (_, only) in only.filter(|(_, only)| before.is_none_or(|rank| only.rank < *rank)) {
            counts.add(only.tally);
        }
        match (self.more.get(partition), before) {
            (None, _) => counts,
            (Some(those), None) => those.all.clone(),
            (Some(those), Some(rank)) => those.before(rank, visit),
        }
    }
}

/// The objects of one partition.
struct Partition<K> {
    objects: BTreeMap<(Rank, Arc<Key>), (Tally, Arc<K>)>,
    all: QueueCounts,
}

impl<K> Default for Partition<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            all: QueueCounts::default(),
        }
    }
}

impl<K> Partition<K> {
    fn insert(&mut self, placed: Entry<K>) {
        let Entry {
            rank,
            key,
            tally,
            object,
        } = placed;
        let before = self.objects.insert((rank, key), (tally, object));
        if let Some((before, _)) = before {
            self.all.subtract(before);
        }
        self.all.add(tally);
    }

    fn remove(&mut self, rank: Rank, key: &Arc<Key>) {
        if let Some((tally, _)) = self.objects.remove(&(rank, key.clone())) {
            self.all.subtract(tally);
        }
    }

    fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The oldest first.
    fn objects(&self) -> impl DoubleEndedIterator<Item = &Arc<K>> {
        self.objects.values().map(|(_, object)| object)
    }

    /// The counts of the objects before this rank, counted from the nearer end.
    fn before(&self, rank: &Rank, mut visit: impl FnMut()) -> QueueCounts {
        let (mut before, mut all_but_later) = (QueueCounts::default(), self.all.clone());
        let (mut oldest, mut newest) = (self.objects.iter(), self.objects.iter().rev());
        loop {
            visit();
            match oldest.next() {
                Some(((other, _), (tally, _))) if other < rank => before.add(*tally),
                _ => return before,
            }
            match newest.next() {
                Some(((other, _), (tally, _))) if other >= rank => all_but_later.subtract(*tally),
                _ => return all_but_later,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: &str = "partition";

    fn rank(number: u32) -> Rank {
        (i64::from(number / 2), format!("{number:03}"))
    }

    fn key(number: u32) -> Arc<Key> {
        Arc::new(Key::new("ns", number.to_string()))
    }

    fn tally(number: u32) -> Tally {
        Tally {
            waits_by: (!number.is_multiple_of(3)).then_some(u64::from(number % 2)),
            is_new: number.is_multiple_of(5),
            place: None,
        }
    }

    fn placed(number: u32, tally: Tally) -> Entry<u32> {
        Entry {
            rank: rank(number),
            key: key(number),
            tally,
            object: Arc::new(number),
        }
    }

    #[test]
    fn each_place_of_a_lane_is_told_also_that_of_its_only_loan() {
        let place = Place {
            over: None,
            has_ended: false,
        };
        let lent = |number: u32| Tally {
            place: Some((u64::from(number), place)),
            ..Tally::default()
        };
        let told = |partitions: &Partitions<u32>, partition| -> Vec<_> {
            let places = partitions.places(partition);
            places.map(|(key, flow, _)| (key.clone(), flow)).collect()
        };
        let mut partitions = Partitions::default();
        assert_eq!(told(&partitions, PARTITION), []);
        partitions.insert(PARTITION.into(), placed(1, lent(1)));
        assert_eq!(told(&partitions, PARTITION), [(Key::clone(&key(1)), 1)]);
        assert_eq!(told(&partitions, "another"), []);
        partitions.insert(PARTITION.into(), placed(2, lent(2)));
        partitions.insert(PARTITION.into(), placed(3, Tally::default()));
        partitions.insert("another".into(), placed(4, lent(4)));
        let both = [1, 2].map(|number| (Key::clone(&key(number)), u64::from(number)));
        assert_eq!(told(&partitions, PARTITION), both);
        assert_eq!(told(&partitions, "another").len(), 1);
    }

    fn partitions(numbers: impl IntoIterator<Item = u32>) -> Partitions<u32> {
        let mut partitions = Partitions::default();
        for number in numbers {
            partitions.insert(PARTITION.into(), placed(number, tally(number)));
        }
        partitions
    }

    fn counts(numbers: impl IntoIterator<Item = u32>) -> QueueCounts {
        let mut counts = QueueCounts::default();
        numbers.into_iter().for_each(|n| counts.add(tally(n)));
        counts
    }

    fn numbers<'a>(objects: impl Iterator<Item = &'a Arc<u32>>) -> Vec<u32> {
        objects.map(|object| **object).collect()
    }

    #[rstest::rstest]
    #[case::none(0)]
    #[case::one(1)]
    #[case::two(2)]
    #[case::many(100)]
    fn what_is_before_a_rank_is_counted_from_the_nearer_end(#[case] count: u32) {
        let partitions = partitions((0..count).rev());
        for number in 0..=count {
            let mut visits = 0;
            let before = partitions.queue_counts(PARTITION, Some(&rank(number)), || visits += 1);
            assert_eq!(before, counts(0..number), "before {number}");
            let nearer = number.min(count - number);
            assert!(visits <= nearer + 1, "{number}: {visits}");
        }
        assert_eq!(
            partitions.queue_counts(PARTITION, None, || {}),
            counts(0..count)
        );
        assert_eq!(
            partitions.queue_counts("other", None, || {}),
            QueueCounts::default()
        );
        assert_eq!(numbers(partitions.objects()), Vec::from_iter(0..count));
        let newest = Vec::from_iter((0..count).rev().take(2));
        assert_eq!(numbers(partitions.newest(2)), newest);
    }

    #[rstest::rstest]
    #[case::one(1)]
    #[case::two(2)]
    #[case::many(10)]
    fn what_leaves_or_changes_is_counted_no_more(#[case] count: u32) {
        let mut partitions = partitions(0..count);
        partitions.insert("other".into(), placed(0, tally(0)));
        partitions.insert(PARTITION.into(), placed(0, tally(7)));
        assert_eq!(
            partitions.queue_counts(PARTITION, None, || {}),
            counts((1..count).chain([7]))
        );
        for number in (0..count).chain([0]) {
            assert!(!partitions.is_empty());
            partitions.remove(PARTITION, rank(number), &key(number));
        }
        assert_eq!(numbers(partitions.objects()), [0]);
        assert_eq!(
            partitions.queue_counts(PARTITION, None, || {}),
            QueueCounts::default()
        );
        partitions.remove("other", rank(0), &key(0));
        assert!(partitions.is_empty());
    }
}
