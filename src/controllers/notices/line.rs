//! The notices of one notifier: those that wait, in order, and which of the latest steps were told.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::api::{AccessNotifierStatus, NoticeError, Time};
use crate::plan::notifier::{Delivery, Destination, Progress};

use super::parcel::Parcel;

/// The number of messages that wait at most, and the size of what they say. Beyond it, steps are
/// given up.
const MOST_WAITING: usize = 5000;
const MOST_BYTES: usize = 8 << 20;

/// How long a notice is tried.
const TRIED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// How much earlier than others a step may have happened that is told after them. As long as it may
/// still appear, the status lists what was told.
pub(super) const LATENESS: SignedDuration = SignedDuration::from_mins(10);

/// How far a notifier that has nothing to tell falls behind before its status says that everything
/// until lately was told.
const RESTS_FOR: SignedDuration = SignedDuration::from_hours(1);

/// The number of told steps that a status lists: the schema's bound.
const MOST_LISTED: usize = 2000;

/// A step to tell.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// The step's id.
    pub id: &'a str,
    /// When it happened.
    pub at: Timestamp,
    /// The time by which it is told.
    pub told_by: Timestamp,
    /// The person who made the request. If too much waits, the person with most of it loses some.
    pub requester: &'a str,
    /// The size of what its messages say.
    pub bytes: usize,
}

/// The number of a message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(u64);

/// A step whose messages wait.
struct Waiting {
    mark: String,
    at: Timestamp,
    told_by: Timestamp,
    queued_at: Timestamp,
    requester: String,
    bytes: usize,
    parcels: VecDeque<(Number, Parcel)>,
}

impl Waiting {
    fn has(&self, number: Number) -> bool {
        self.parcels.iter().any(|(own, _)| *own == number)
    }
}

/// The notices of one notifier.
pub struct Line {
    waiting: VecDeque<Waiting>,
    /// The messages of all that waits, and their size.
    messages: usize,
    bytes: usize,
    numbered: u64,
    on_its_way: Option<Number>,
    /// The marks of all that waits.
    marks: HashSet<String>,
    /// What was told since `told_until`, and when it happened.
    told: HashMap<String, Timestamp>,
    told_until: Timestamp,
    /// Since when it holds all that was not told before this leader.
    began: Option<Timestamp>,
    dropped: u32,
    failing: HashMap<Destination, (Timestamp, NoticeError)>,
}

impl Line {
    /// Goes on where an earlier leader stopped, as the status says, or begins at this time.
    pub fn resume(status: Option<&AccessNotifierStatus>, begins: Timestamp) -> Self {
        let told_until = status.and_then(|status| status.told_until.as_ref());
        let told_until = told_until.map_or(begins, |at| at.0);
        let marks = status.map_or(&[][..], |status| &status.told);
        Self {
            waiting: VecDeque::new(),
            messages: 0,
            bytes: 0,
            numbered: 0,
            on_its_way: None,
            marks: HashSet::new(),
            // Their times are not known until they are offered again.
            told: marks
                .iter()
                .map(|mark| (mark.clone(), told_until))
                .collect(),
            told_until,
            began: None,
            dropped: status.and_then(|status| status.dropped).unwrap_or(0),
            failing: HashMap::new(),
        }
    }

    /// All that earlier leaders did not tell has been offered: it is told in the order in which it
    /// happened.
    pub fn begin(&mut self, now: Timestamp) {
        let waiting = self.waiting.make_contiguous();
        waiting.sort_by_key(|step| step.told_by);
        self.began = Some(now);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.began.is_some()
    }

    /// The time before which everything was told. Objects have whole seconds, so of this very second
    /// only what is listed was told.
    pub fn told_until(&self) -> Timestamp {
        self.told_until
    }

    /// Adds a step, unless it is known.
    pub fn offer(&mut self, step: Offered<'_>, now: Timestamp, parcels: Vec<Parcel>) {
        let mark = mark_of(step.id);
        if let Some(at) = self.told.get_mut(&mark) {
            *at = step.at;
            return;
        }
        if parcels.is_empty() || !self.marks.insert(mark.clone()) {
            return;
        }
        self.messages += parcels.len();
        self.bytes += step.bytes;
        let numbers = self.numbered..;
        self.numbered += u64::try_from(parcels.len()).unwrap_or(u64::MAX);
        self.waiting.push_back(Waiting {
            mark,
            at: step.at,
            told_by: step.told_by,
            queued_at: now,
            requester: step.requester.to_owned(),
            bytes: step.bytes,
            parcels: numbers.map(Number).zip(parcels).collect(),
        });
        while (self.messages > MOST_WAITING || self.bytes > MOST_BYTES)
            && let Some(victim) = self.victim()
        {
            self.give_up(victim, now);
        }
    }

    /// The step that makes room: the oldest one of the person who fills most of the line. Nobody
    /// displaces the notices about another person who has fewer.
    fn victim(&self) -> Option<usize> {
        let too_many = self.messages > MOST_WAITING;
        let mut filled: HashMap<&str, usize> = HashMap::new();
        for step in &self.waiting {
            let filled = filled.entry(&step.requester).or_default();
            *filled += if too_many {
                step.parcels.len()
            } else {
                step.bytes
            };
        }
        let of = |step: &Waiting| filled.get(&*step.requester).copied();
        // A message that is on its way may have arrived.
        let stays = |step: &Waiting| self.on_its_way.is_some_and(|number| step.has(number));
        let steps = self.waiting.iter().enumerate();
        let steps = steps.filter(|(_, step)| !stays(step));
        let victim = steps.min_by_key(|(_, step)| (Reverse(of(step)), step.told_by));
        victim.map(|(place, _)| place)
    }

    /// The next message to a destination that is free, if possible to one that does not fail. Those
    /// that have waited for too long are given up.
    pub fn next(
        &mut self,
        now: Timestamp,
        is_free: impl Fn(&Destination) -> bool,
    ) -> Option<(Number, Parcel)> {
        self.on_its_way = None;
        let is_old = |step: &Waiting| now.duration_since(step.queued_at) >= TRIED_FOR;
        while self.waiting.front().is_some_and(is_old) {
            self.give_up(0, now);
        }
        let all = self.waiting.iter().flat_map(|step| &step.parcels);
        let mut free = all.filter(|(_, parcel)| is_free(&parcel.to));
        let first = free.clone().next();
        let healthy = free.find(|(_, parcel)| !self.failing.contains_key(&parcel.to));
        let next = healthy.or(first).cloned();
        self.on_its_way = next.as_ref().map(|(number, _)| *number);
        next
    }

    /// The message was delivered.
    pub fn delivered(&mut self, number: Number, now: Timestamp) {
        let to = self.leave(number, now);
        if self.failing.is_empty() {
            return;
        }
        let all = self.waiting.iter().flat_map(|step| &step.parcels);
        let waited_for: HashSet<_> = all.map(|(_, parcel)| &parcel.to).collect();
        self.failing
            .retain(|other, _| Some(other) != to.as_ref() && waited_for.contains(other));
    }

    /// The message could not be delivered, and is tried again.
    pub fn failed(&mut self, number: Number, why: &str, now: Timestamp) {
        let mut all = self.waiting.iter().flat_map(|step| &step.parcels);
        let Some((_, parcel)) = all.find(|(own, _)| *own == number) else {
            return;
        };
        let error = NoticeError {
            at: Time(now),
            message: why.chars().take(500).collect(),
        };
        let first = (now, error.clone());
        self.failing.entry(parcel.to.clone()).or_insert(first).1 = error;
    }

    /// The receiver refuses the message for good.
    pub fn refused(&mut self, number: Number, why: &str, now: Timestamp) {
        self.failed(number, why, now);
        self.withdrawn(number, now);
    }

    /// The message is not sent, because the notifier names its receiver no longer.
    pub fn withdrawn(&mut self, number: Number, now: Timestamp) {
        self.dropped = self.dropped.saturating_add(1);
        self.leave(number, now);
    }

    /// A step leaves the line undelivered.
    fn give_up(&mut self, place: usize, now: Timestamp) {
        let Some(step) = self.waiting.remove(place) else {
            return;
        };
        let messages = u32::try_from(step.parcels.len()).unwrap_or(u32::MAX);
        self.dropped = self.dropped.saturating_add(messages);
        self.is_over(step, now);
    }

    /// A message leaves, and with the last one its step.
    fn leave(&mut self, number: Number, now: Timestamp) -> Option<Destination> {
        let place = self.waiting.iter().position(|step| step.has(number))?;
        let step = self.waiting.get_mut(place)?;
        let own = step.parcels.iter().position(|(own, _)| *own == number)?;
        let (_, parcel) = step.parcels.remove(own)?;
        self.messages -= 1;
        if step.parcels.is_empty()
            && let Some(step) = self.waiting.remove(place)
        {
            self.is_over(step, now);
        }
        Some(parcel.to)
    }

    fn is_over(&mut self, step: Waiting, now: Timestamp) {
        self.messages -= step.parcels.len();
        self.bytes -= step.bytes;
        self.marks.remove(&step.mark);
        self.told.insert(step.mark, step.at);
        self.settle(now);
    }

    /// Forgets the marks of steps so old that no earlier one can still appear. Nothing counts as told
    /// that waits, or that may not have been offered yet.
    fn settle(&mut self, now: Timestamp) {
        if !self.has_begun() {
            return;
        }
        let before = |at: Timestamp| at.checked_sub(LATENESS).ok();
        let latest = self.told.values().copied().max();
        let rests = self.rests(now).then_some(now);
        let settled = latest.into_iter().chain(rests).max().and_then(before);
        let oldest_waiting = self.oldest().map_or(Timestamp::MAX, just_before);
        let settled = settled.map(|at| at.min(oldest_waiting));
        self.told_until = settled.map_or(self.told_until, |at| at.max(self.told_until));
        let until = self.told_until;
        self.told.retain(|_, at| *at >= until);
        // If too many have to be listed, some are told once more after a restart.
        while self.told.len() > MOST_LISTED
            && let Some((mark, at)) = self.told.iter().min_by_key(|(_, at)| **at)
        {
            let (mark, at) = (mark.clone(), (*at).min(oldest_waiting));
            self.told_until = self.told_until.max(at);
            self.told.remove(&mark);
        }
    }

    /// Whether there has been nothing to tell for so long that the status should say how far that is.
    fn rests(&self, now: Timestamp) -> bool {
        self.rests_from().is_some_and(|at| at <= now)
    }

    /// When that is so, if nothing happens.
    pub fn rests_from(&self) -> Option<Timestamp> {
        // Decisions that were made while nobody led are offered soon after the beginning.
        let earliest = self.began?.checked_add(LATENESS).ok()?;
        let at = self.told_until.checked_add(LATENESS + RESTS_FOR).ok()?;
        self.waiting.is_empty().then_some(at.max(earliest))
    }

    /// The number of messages that wait.
    pub fn backlog(&self) -> usize {
        self.messages
    }

    /// The time of the oldest step that waits.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|step| step.at).min()
    }

    /// How the delivery goes.
    pub fn delivery(&self) -> Delivery {
        let errors = self.failing.values().map(|(_, error)| error);
        Delivery {
            failing_since: self.failing.values().map(|(since, _)| *since).min(),
            last_error: errors.max_by_key(|error| error.at.0).cloned(),
        }
    }

    /// How far the notifier has got.
    pub fn progress(&mut self, now: Timestamp) -> Progress {
        self.settle(now);
        Progress {
            backlog: u32::try_from(self.messages).unwrap_or(u32::MAX),
            oldest_waiting: self.oldest(),
            dropped: self.dropped,
            told_until: self.told_until,
            told: self.listed(),
        }
    }

    fn listed(&self) -> Vec<String> {
        let mut told: Vec<_> = self.told.iter().map(|(mark, at)| (at, mark)).collect();
        told.sort();
        told.into_iter().map(|(_, mark)| mark.clone()).collect()
    }
}

fn just_before(at: Timestamp) -> Timestamp {
    at.checked_sub(SignedDuration::from_secs(1)).unwrap_or(at)
}

/// A step's id in a short form.
fn mark_of(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    data_encoding::BASE64URL_NOPAD.encode(&digest[..9])
}

#[cfg(test)]
mod tests;
