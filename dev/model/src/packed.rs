//! A state in few bytes, and the part of it by which two states are compared.

use keyloan::plan::delivery::links::CALL_TIMEOUT;

use crate::Loan;
use crate::kept::{Kept, Store};
use crate::left::Left;
use crate::memo::number;
use crate::promises::BREAKABLE;
use crate::state::{Failed, FailedAt, Memory, Replica, State, Stored};
use crate::work::{Next, Work};

/// A state as the numbers of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packed {
    grant: [u32; 2],
    record: [u32; 2],
    secret: [u32; 2],
    decisions: u32,
    shares: u32,
    next: [u32; 2],
    flags: u32,
    left: u32,
}

/// What a state is besides that which only allows more to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core(pub u64);

/// What a state still allows: the bounds that are left, the objects that a look out of date would
/// see, and the links that were made. No decision depends on these, and the more there are, the
/// more has to be accounted for: each promise bounds them. It is one number, so that a set of states
/// has little to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room(u64);

/// Each bound has three bits: two for its number, and one that is free.
const FREE: u64 = 0o44_444_444;
const BOUNDS: u32 = 24;
/// The bits for the numbers of a request, a record and a Secret.
const BITS: [u32; 3] = [14, 14, 5];
/// The first bit for the links that were made.
const MADE: u32 = 57;

impl Packed {
    /// Packs a state.
    pub fn new(state: &State) -> Self {
        let pair = |now: u32, before: u32| [now, before];
        fn both<T>(stored: &Stored<Kept<T>>) -> (u32, u32) {
            let number = |value: &Option<Kept<T>>| value.as_ref().map_or(0, Kept::number);
            (number(&stored.now), number(&stored.before))
        }
        let (now, before) = both(&state.grant);
        let grant = pair(now, before);
        let (now, before) = both(&state.record);
        let record = pair(now, before);
        let (now, before) = both(&state.secret);
        let secret = pair(now, before);
        let next = [&state.leader, &state.other];
        let next = next.map(|replica| replica.work.map_or(0, |work| work.next.number()));
        let broken = state.broken.and_then(|broken| {
            let mut names = BREAKABLE.iter().zip(1..);
            names.find_map(|(name, number)| (*name == broken).then_some(number))
        });
        let flags = [
            u32::from(state.time | state.excepted << 4),
            broken.unwrap_or(0),
            flags_of(&state.leader),
            flags_of(&state.other),
        ];
        Self {
            grant,
            record,
            secret,
            decisions: state.decisions.number(),
            shares: state.shares.number(),
            next,
            flags: flags.iter().fold(0, |all, flag| all << 8 | flag),
            left: bits_of(state.left),
        }
    }

    /// The state.
    pub fn state(&self, model: &Loan) -> Option<State> {
        fn both<T>(store: &Store<T>, numbers: [u32; 2]) -> Stored<Kept<T>> {
            let [now, before] = numbers.map(|number| store.numbered(number));
            Stored { now, before }
        }
        let stores = &model.stores;
        let [time, broken, leader, other] = self.flags.to_be_bytes();
        let next = self.next.map(|number| Next::numbered(model, number));
        Some(State {
            time: time & 15,
            excepted: time >> 4,
            grant: both(&stores.grants, self.grant),
            record: both(&stores.records, self.record),
            secret: both(&stores.secrets, self.secret),
            decisions: stores.decisions.numbered(self.decisions)?,
            shares: stores.shares.numbered(self.shares)?,
            leader: replica_of(leader, next[0]),
            other: replica_of(other, next[1]),
            left: left_of(self.left),
            broken: BREAKABLE.iter().zip(1..).find_map(|(name, number)| {
                let is_it = broken == number;
                is_it.then_some(*name)
            }),
        })
    }

    /// What it is compared by.
    pub fn split(&self, model: &Loan) -> (Core, Room) {
        if model.is_plain {
            return (Core(number(self).max(1)), Room(0));
        }
        let (made, shares) = self.made(model);
        let pairs = [self.grant, self.record, self.secret];
        let mut core = (
            pairs.map(|[now, _]| now),
            [self.decisions, self.flags],
            shares,
            self.next,
            [0; 3],
        );
        let mut room = u64::from(self.left) | made << MADE;
        let mut shift = BOUNDS;
        for (place, [now, before]) in pairs.into_iter().enumerate() {
            // 0 stands for nothing else than there is, 1 for nothing at all.
            let old = if before == now { 0 } else { before + 1 };
            if old < 1 << BITS[place] {
                room |= u64::from(old) << shift;
            } else {
                core.4[place] = old;
            }
            shift += BITS[place];
        }
        (Core(number(&core).max(1)), Room(room))
    }

    /// The links of the record that were made, each with a bit for its number, and all else about
    /// links.
    ///
    /// A link's end, if the record has the one of a call right after the intent, is known from the
    /// record.
    fn made(&self, model: &Loan) -> (u64, u64) {
        let stores = &model.stores;
        let record = stores.records.numbered(self.record[0]);
        let links = record.as_ref().map_or(&[][..], |record| &record.spec.links);
        let shares = stores.shares.numbered(self.shares);
        let (mut made, mut handed, mut others) = (0, 0, Vec::new());
        for share in shares.iter().flat_map(|shares| shares.iter()) {
            let mut links = links.iter().filter(|link| link.sequence == share.sequence);
            let end = links.next().map(|link| link.latest_end.0 - CALL_TIMEOUT);
            let bit = 1 << (share.sequence - 1).min(6);
            let is_known = end == Some(share.opens_until) && share.sequence < 7 && made & bit == 0;
            match is_known {
                true => made |= bit,
                false => others.push(share),
            }
            if is_known && share.is_handed {
                handed |= bit;
            }
        }
        (made, number(&(handed, others)))
    }

    /// How much is left of the bounds.
    pub fn rank(&self) -> usize {
        left_of(self.left).sum()
    }
}

impl Room {
    /// Whether everything that can happen in this room can happen in the other one.
    pub fn is_within(self, other: Self) -> bool {
        let (mine, others) = (self.0, other.0);
        let bounds = FREE | (others & !FREE & ((1 << BOUNDS) - 1));
        let mine_bounds = mine & ((1 << BOUNDS) - 1);
        if (bounds - mine_bounds) & FREE != FREE {
            return false;
        }
        if mine >> MADE & !(others >> MADE) != 0 {
            return false;
        }
        let mut shift = BOUNDS;
        BITS.iter().all(|bits| {
            let mask = ((1_u64 << bits) - 1) << shift;
            shift += bits;
            mine & mask == 0 || mine & mask == others & mask
        })
    }

    /// Its bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The room with these bits.
    pub fn of_bits(bits: u64) -> Self {
        Self(bits)
    }
}

fn flags_of(replica: &Replica) -> u32 {
    let attempt = match replica.memory.attempt {
        None => 0,
        Some(Failed::Unavailable) => 1,
        Some(Failed::NotKept) => 2,
        Some(Failed::NoRecord) => 3,
    };
    let undeleted = match replica.memory.undeleted {
        None => 0,
        Some(FailedAt::Now) => 1,
        Some(FailedAt::Earlier) => 2,
    };
    let is_current = replica.work.is_some_and(|work| work.is_current);
    let has_looked = replica.work.is_some_and(|work| work.has_looked);
    attempt | undeleted << 2 | u32::from(is_current) << 4 | u32::from(has_looked) << 5
}

fn replica_of(flags: u8, next: Option<Next>) -> Replica {
    Replica {
        memory: Memory {
            attempt: match flags & 3 {
                0 => None,
                1 => Some(Failed::Unavailable),
                2 => Some(Failed::NotKept),
                _ => Some(Failed::NoRecord),
            },
            undeleted: match flags >> 2 & 3 {
                0 => None,
                1 => Some(FailedAt::Now),
                _ => Some(FailedAt::Earlier),
            },
        },
        work: next.map(|next| Work {
            next,
            is_current: flags >> 4 & 1 == 1,
            has_looked: flags >> 5 & 1 == 1,
        }),
    }
}

fn bits_of(left: Left) -> u32 {
    let counts = left.counts();
    counts.iter().fold(0, |bits, count| {
        assert!(*count < 4, "a bound is at most 3");
        bits << 3 | u32::from(*count)
    })
}

fn left_of(bits: u32) -> Left {
    let mut left = Left::default();
    for (place, (_, count)) in left.names().into_iter().rev().enumerate() {
        *count = u8::try_from(bits >> (3 * place) & 3).unwrap_or_default();
    }
    left
}
