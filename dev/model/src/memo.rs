//! What was worked out once is not worked out again: the plan is asked the same question in many
//! states.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// So many threads can look something up without waiting for each other.
const SHARDS: usize = 64;

/// Answers, by a number that identifies the question.
pub struct Memo<V>(Vec<Mutex<HashMap<u64, V, BuildHasherDefault<Itself>>>>);

impl<V> Default for Memo<V> {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl<V: Clone> Memo<V> {
    /// The answer to this question.
    pub fn answer(&self, question: impl Hash, find: impl FnOnce() -> V) -> V {
        let number = number(&question);
        let shard = &self.0[usize::try_from(number).unwrap_or_default() % SHARDS];
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&number) {
            return known.clone();
        }
        let found = find();
        lock().insert(number, found.clone());
        found
    }
}

/// A number that identifies this value: two values with the same one are taken for equal.
pub fn number(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A hash of numbers that are hashes already.
#[derive(Default)]
pub struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        // The shard is chosen by the lowest bits.
        self.0.rotate_right(SHARDS.trailing_zeros())
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
