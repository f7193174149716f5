//! The notices of one notifier: those that wait, in order, and which of the latest steps were told.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::api::{AccessNotifierStatus, NoticeError, Time};
use crate::desk::cloud_event::CloudEvent;
use crate::desk::notice::Notice;
use crate::plan::notifier::{Delivery, Destination, Progress};

/// The number of steps that wait at most. Beyond it, the oldest are given up.
const MOST_WAITING: usize = 5000;

/// How long a notice is tried.
const TRIED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// How much earlier than others a step may have happened that is told after them. As long as it may
/// still appear, the status lists what was told.
pub(super) const LATENESS: SignedDuration = SignedDuration::from_mins(10);

/// The number of told steps that a status lists: the schema's bound.
const MOST_LISTED: usize = 2000;

/// One message, and where it goes.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Where it goes.
    pub to: Destination,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Content {
    /// Words for people.
    Words(Arc<Notice>),
    /// An event for a program.
    Event(Arc<CloudEvent>),
}

/// A step whose messages wait.
struct Waiting {
    mark: String,
    at: Timestamp,
    queued_at: Timestamp,
    parcels: VecDeque<Parcel>,
}

/// The notices of one notifier.
pub struct Line {
    waiting: VecDeque<Waiting>,
    told: VecDeque<(Timestamp, String)>,
    /// The marks of all that waits and all that was told.
    known: HashSet<String>,
    told_until: Timestamp,
    dropped: u32,
    delivery: Delivery,
}

impl Line {
    /// Goes on where an earlier leader stopped, as the status says, or begins at this time.
    pub fn resume(status: Option<&AccessNotifierStatus>, begins: Timestamp) -> Self {
        let told_until = status.and_then(|status| status.told_until.as_ref());
        let told_until = told_until.map_or(begins, |at| at.0);
        let marks = status.map_or(&[][..], |status| &status.told);
        Self {
            waiting: VecDeque::new(),
            // Their times are not known any longer. They stay listed until all of them are too old.
            told: marks
                .iter()
                .map(|mark| (told_until, mark.clone()))
                .collect(),
            known: marks.iter().cloned().collect(),
            told_until,
            dropped: status.map_or(0, |status| status.dropped),
            delivery: Delivery::default(),
        }
    }

    /// The time before which everything was told. Objects have whole seconds, so of this very second
    /// only what is listed was told.
    pub fn told_until(&self) -> Timestamp {
        self.told_until
    }

    /// Adds a step, unless it is known.
    pub fn offer(&mut self, id: &str, at: Timestamp, now: Timestamp, parcels: Vec<Parcel>) {
        let mark = mark_of(id);
        if parcels.is_empty() || !self.known.insert(mark.clone()) {
            return;
        }
        self.waiting.push_back(Waiting {
            mark,
            at,
            queued_at: now,
            parcels: parcels.into(),
        });
        if self.waiting.len() > MOST_WAITING {
            self.give_up();
        }
    }

    /// The next message. Those that have waited for too long are given up.
    pub fn next(&mut self, now: Timestamp) -> Option<Parcel> {
        let is_old = |step: &Waiting| now.duration_since(step.queued_at) >= TRIED_FOR;
        while self.waiting.front().is_some_and(is_old) {
            self.give_up();
        }
        self.waiting.front()?.parcels.front().cloned()
    }

    /// The next message was delivered.
    pub fn delivered(&mut self) {
        self.delivery = Delivery::default();
        self.leave();
    }

    /// The next message could not be delivered, and is tried again.
    pub fn failed(&mut self, why: &str, now: Timestamp) {
        self.delivery.failing_since.get_or_insert(now);
        self.delivery.last_error = Some(NoticeError {
            at: Time(now),
            message: why.chars().take(500).collect(),
        });
    }

    /// The receiver refuses the next message for good.
    pub fn refused(&mut self, why: &str, now: Timestamp) {
        self.failed(why, now);
        self.dropped = self.dropped.saturating_add(1);
        self.leave();
    }

    /// Gives up the oldest step.
    fn give_up(&mut self) {
        if let Some(step) = self.waiting.front_mut() {
            self.dropped = self.dropped.saturating_add(1);
            step.parcels.truncate(1);
            self.leave();
        }
    }

    /// The next message leaves, and with the last one its step.
    fn leave(&mut self) {
        let Some(step) = self.waiting.front_mut() else {
            return;
        };
        step.parcels.pop_front();
        if !step.parcels.is_empty() {
            return;
        }
        if let Some(step) = self.waiting.pop_front() {
            self.told.push_back((step.at, step.mark));
            self.settle();
        }
    }

    /// Forgets the marks of steps so old that no earlier one can still appear.
    fn settle(&mut self) {
        let latest = self.told.iter().map(|(at, _)| *at).max();
        let settled = latest.and_then(|at| at.checked_sub(LATENESS).ok());
        let oldest_waiting = self.waiting.iter().map(|step| step.at).min();
        let settled = settled
            .into_iter()
            .chain(oldest_waiting.map(just_before))
            .min();
        self.told_until = settled.map_or(self.told_until, |at| at.max(self.told_until));
        let (until, known) = (self.told_until, &mut self.known);
        self.told.retain(|(at, mark)| {
            let stays = *at >= until;
            if !stays {
                known.remove(mark);
            }
            stays
        });
        while self.told.len() > MOST_LISTED
            && let Some((at, mark)) = self.told.pop_front()
        {
            self.told_until = self.told_until.max(at);
            self.known.remove(&mark);
        }
    }

    /// How the delivery goes.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// How far the notifier has got.
    pub fn progress(&self) -> Progress {
        Progress {
            backlog: u32::try_from(self.waiting.len()).unwrap_or(u32::MAX),
            oldest_waiting: self.waiting.front().map(|step| step.at),
            dropped: self.dropped,
            told_until: Some(self.told_until),
            told: self.told.iter().map(|(_, mark)| mark.clone()).collect(),
        }
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
mod tests {
    use super::*;
    use crate::api::Email;
    use crate::desk::cloud_event::Data;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn parcels(count: usize) -> Vec<Parcel> {
        let event = CloudEvent::new("keyloan", "e".into(), "ended", at(0), Data::default());
        let parcel = Parcel {
            to: Destination::Address(Email("a@example.com".into())),
            content: Content::Event(Arc::new(event)),
        };
        vec![parcel; count]
    }

    fn line() -> Line {
        Line::resume(None, at(0))
    }

    /// Puts steps into a line, each by its id and its time.
    fn offered(line: &mut Line, steps: &[(&str, i64)]) {
        for (id, second) in steps {
            line.offer(id, at(*second), at(*second), parcels(1));
        }
    }

    fn resumed(line: &Line) -> Line {
        let progress = line.progress();
        let status = AccessNotifierStatus {
            told_until: progress.told_until.map(Time),
            told: progress.told,
            dropped: progress.dropped,
            ..AccessNotifierStatus::default()
        };
        Line::resume(Some(&status), at(0))
    }

    #[test]
    fn a_step_is_told_once_and_leaves_with_its_last_message() {
        let mut line = line();
        line.offer("a", at(5), at(5), parcels(2));
        line.offer("a", at(5), at(6), parcels(2));
        for waits in [1, 1, 0] {
            assert_eq!(line.progress().backlog, waits);
            line.delivered();
        }
        line.offer("a", at(5), at(7), parcels(1));
        assert!(line.next(at(8)).is_none());
    }

    #[test]
    fn after_a_restart_nothing_is_told_twice_and_what_waited_is_told() {
        let steps = [("a", 100), ("b", 200), ("c", 300)];
        let mut before = line();
        offered(&mut before, &steps);
        before.delivered();
        before.delivered();
        let mut after = resumed(&before);
        offered(&mut after, &steps);
        assert_eq!(after.progress().backlog, 1);
        assert_eq!(after.progress().oldest_waiting, Some(at(300)));
    }

    #[test]
    fn what_was_told_long_ago_is_no_longer_listed_and_still_counts_as_told() {
        let mut line = line();
        offered(&mut line, &[("a", 100), ("b", 100 + 601)]);
        line.delivered();
        line.delivered();
        assert_eq!(line.progress().told.len(), 1);
        assert!(line.told_until() >= at(100) && line.told_until() < at(701));
    }

    #[test]
    fn nothing_counts_as_told_before_what_still_waits() {
        let mut line = line();
        offered(&mut line, &[("late", 5000), ("early", 10)]);
        line.delivered();
        assert!(line.told_until() < at(10));
        line.delivered();
        assert_eq!(line.told_until(), at(5000 - 600));
    }

    #[test]
    fn a_notice_is_given_up_after_a_day_and_counted() {
        let mut line = line();
        offered(&mut line, &[("a", 0), ("b", 80_000)]);
        line.failed("it does not answer", at(1));
        assert!(line.next(at(86_399)).is_some());
        assert!(line.next(at(86_400)).is_some(), "the other one");
        let progress = line.progress();
        assert_eq!((progress.backlog, progress.dropped), (1, 1));
    }

    #[test]
    fn of_too_many_the_oldest_are_given_up() {
        let mut line = line();
        for number in 0..=MOST_WAITING {
            line.offer(&number.to_string(), at(1), at(1), parcels(1));
        }
        let progress = line.progress();
        assert_eq!(progress.dropped, 1);
        assert_eq!(usize::try_from(progress.backlog), Ok(MOST_WAITING));
    }

    #[test]
    fn a_status_lists_no_more_than_its_schema_allows() {
        let mut line = line();
        for number in 0..MOST_LISTED + 10 {
            line.offer(&number.to_string(), at(1), at(1), parcels(1));
            line.delivered();
            assert!(line.progress().told.len() <= MOST_LISTED);
        }
        assert_eq!(line.told_until(), at(1), "the oldest of them count as told");
    }

    #[test]
    fn a_receiver_fails_since_the_first_of_the_failures_in_a_row() {
        let mut line = line();
        offered(&mut line, &[("a", 0)]);
        line.failed("refused", at(10));
        line.failed("refused again", at(20));
        assert_eq!(line.delivery().failing_since, Some(at(10)));
        let error = line.delivery().last_error.clone().expect("an error");
        assert_eq!(
            (error.at.0, error.message.as_str()),
            (at(20), "refused again")
        );
        line.delivered();
        assert_eq!(line.delivery(), &Delivery::default());
    }
}
