//! Values that states share: each is kept once, until the program ends, and has a number.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::memo::Memo;

/// The values of one kind.
pub struct Store<T: 'static> {
    by_print: Memo<Kept<T>>,
    by_number: Box<[OnceLock<Chunk<T>>]>,
    count: AtomicU32,
}

/// Places for the values with numbers in a row.
type Chunk<T> = Box<[OnceLock<Kept<T>>]>;

/// A kept value. Two are equal if they have the same print.
pub struct Kept<T: 'static>(&'static Entry<T>);

struct Entry<T> {
    value: T,
    print: u64,
    number: u32,
}

/// Room for a million values of one kind; a search has some ten thousand.
const CHUNK: usize = 1024;

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self {
            by_print: Memo::default(),
            by_number: (0..CHUNK).map(|_| OnceLock::new()).collect(),
            count: AtomicU32::new(0),
        }
    }
}

impl<T> Store<T> {
    /// The value with this print, which is made if it is the first.
    pub fn keep(&self, print: u64, make: impl FnOnce() -> T) -> Kept<T> {
        let kept = self.by_print.answer(print, || {
            // 0 stands for none.
            let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
            // A search shares its values between all of its states, and ends with the program.
            Kept(Box::leak(Box::new(Entry {
                value: make(),
                print,
                number,
            })))
        });
        self.place(kept.number()).get_or_init(|| kept);
        kept
    }

    /// The value with this number.
    pub fn numbered(&self, number: u32) -> Option<Kept<T>> {
        match number {
            0 => None,
            number => self.place(number).get().copied(),
        }
    }

    fn place(&self, number: u32) -> &OnceLock<Kept<T>> {
        let number = number as usize;
        let chunk = &self.by_number[number / CHUNK];
        &chunk.get_or_init(|| (0..CHUNK).map(|_| OnceLock::new()).collect())[number % CHUNK]
    }
}

impl<T> Kept<T> {
    /// A number that equal values share, in every search.
    pub fn print(&self) -> u64 {
        self.0.print
    }

    /// Its number in its store, which is above zero.
    pub fn number(&self) -> u32 {
        self.0.number
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Kept<T> {}

impl<T> PartialEq for Kept<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.print == other.0.print
    }
}

impl<T> Eq for Kept<T> {}

impl<T> Hash for Kept<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.print.hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}
