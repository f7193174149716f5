//! The set of states that a search has seen.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::packed::{Core, Room};

/// So many threads can look something up without waiting for each other, and a part grows without
/// a copy of the others.
const PARTS: usize = 1024;

/// The states that were seen: of each core, the widest rooms.
///
/// A state whose room is within that of another one with the same core can be left out: each thing
/// that can happen to it can happen to the other one, with the same result and room again.
pub struct Seen {
    parts: Vec<Mutex<Part>>,
    count: AtomicUsize,
    places: AtomicUsize,
}

/// Open addressing: a core is in the first free place from the one that its bits name.
struct Part {
    places: Vec<Place>,
    count: usize,
}

/// A core and its room. No core is 0.
#[derive(Clone, Copy)]
struct Place {
    core: u64,
    room: u64,
}

const EMPTY: Place = Place { core: 0, room: 0 };

impl Default for Seen {
    fn default() -> Self {
        let part = || {
            Mutex::new(Part {
                places: vec![EMPTY; 16],
                count: 0,
            })
        };
        Self {
            parts: (0..PARTS).map(|_| part()).collect(),
            count: AtomicUsize::new(0),
            places: AtomicUsize::new(PARTS * 16),
        }
    }
}

impl Seen {
    /// Takes in a state; whether it can do anything that those seen before cannot.
    pub fn is_new(&self, core: Core, room: Room) -> bool {
        let mut part = self.part(core);
        let (mut replaced, mut free) = (None, 0);
        for place in part.from(core) {
            let there = part.places[place];
            if there.core == 0 {
                free = place;
                break;
            }
            if there.core == core.0 {
                let known = Room::of_bits(there.room);
                if room.is_within(known) {
                    return false;
                }
                if known.is_within(room) {
                    replaced = Some(place);
                }
            }
        }
        let new = Place {
            core: core.0,
            room: room.bits(),
        };
        part.places[replaced.unwrap_or(free)] = new;
        if replaced.is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
            part.count += 1;
            if part.count * 6 > part.places.len() * 5 {
                let more = part.grow();
                self.places.fetch_add(more, Ordering::Relaxed);
            }
        }
        true
    }

    /// Whether a state with more room was seen.
    pub fn is_outdone(&self, core: Core, room: Room) -> bool {
        let part = self.part(core);
        for place in part.from(core) {
            let there = part.places[place];
            if there.core == 0 {
                break;
            }
            if there.core == core.0
                && there.room != room.bits()
                && room.is_within(Room::of_bits(there.room))
            {
                return true;
            }
        }
        false
    }

    /// The number of states.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The size in bytes.
    pub fn size(&self) -> usize {
        self.places.load(Ordering::Relaxed) * size_of::<Place>()
    }

    fn part(&self, core: Core) -> MutexGuard<'_, Part> {
        let part = &self.parts[usize::try_from(core.0 >> 54).unwrap_or_default() % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// The places in which a core can be.
    fn from(&self, core: Core) -> impl Iterator<Item = usize> + use<> {
        let size = self.places.len();
        // The part is chosen by the highest bits, so that the others remain for the place.
        let share = u128::from(core.0 << 10) * size as u128;
        let first = usize::try_from(share >> 64).unwrap_or_default();
        (first..size).chain(0..first)
    }

    /// Returns by how many places it has grown.
    fn grow(&mut self) -> usize {
        let size = self.places.len() * 3 / 2;
        let more = size - self.places.len();
        let before = std::mem::replace(&mut self.places, vec![EMPTY; size]);
        for place in before.into_iter().filter(|place| place.core != 0) {
            let mut free = self.from(Core(place.core));
            let free = free.find(|free| self.places[*free].core == 0);
            self.places[free.unwrap_or_default()] = place;
        }
        more
    }
}
