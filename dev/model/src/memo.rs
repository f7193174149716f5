//! Answers of the plan that hold in other states, too: it is asked the same question in many of
//! them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
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
        // Another thread may have found an equal one meanwhile: all use the first.
        lock().entry(number).or_insert(found).clone()
    }
}

/// A number that identifies this value: two values with the same one are taken for equal.
pub fn number(value: &impl Hash) -> u64 {
    let mut hasher = Mixed::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A fast hash of 64 bits: each word is multiplied into all bits.
#[derive(Default)]
pub struct Mixed(u64);

/// An odd number without a pattern: the fraction of the golden ratio.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
/// Another one: the fraction of the square root of two.
const OTHER_ODD: u64 = 0x6A09_E667_F3BC_C909;

/// Both halves of the product, one over the other.
fn folded(a: u64, b: u64) -> u64 {
    let [low, high] = halves(u128::from(a) * u128::from(b));
    low ^ high
}

#[expect(clippy::cast_possible_truncation, reason = "the halves are meant")]
fn halves(product: u128) -> [u64; 2] {
    [product as u64, (product >> 64) as u64]
}

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        folded(self.0 ^ OTHER_ODD, ODD)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // A product with zero would forget what came before.
        self.0 = folded(self.0.rotate_left(23) ^ number ^ ODD, OTHER_ODD).wrapping_add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
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
