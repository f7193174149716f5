//! An estimate of how many requests are left before 1Password says stop.
//!
//! 1Password limits a service account's requests by the hour (for each token) and by the day (for the whole account, all
//! its service accounts together). What others use up is not seen here: these are estimates, and a 429 is the truth.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::api::AccountPlan;

/// Counts go into so many buckets each window.
const BUCKETS: i64 = 24;
/// The share of a limit that discoveries leave to links.
const LEFT_TO_LINKS: f64 = 0.1;

/// How many requests a plan allows, as 1Password publishes them
/// (<https://developer.1password.com/docs/service-accounts/rate-limits/>); reading and writing together count by the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// With one token in one hour (of reads, which are nearly all of ours).
    pub hour: u32,
    /// By the whole account in 24 hours.
    pub day: u32,
}

impl Limits {
    /// Of a plan.
    pub fn of(plan: AccountPlan) -> Self {
        match plan {
            AccountPlan::Business => Self {
                hour: 10_000,
                day: 50_000,
            },
            AccountPlan::Teams => Self {
                hour: 1_000,
                day: 5_000,
            },
            AccountPlan::Families | AccountPlan::Individual => Self {
                hour: 1_000,
                day: 1_000,
            },
        }
    }
}

/// Requests counted over a window of time that moves along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    length: SignedDuration,
    /// Beginnings of buckets and their counts, the oldest first.
    buckets: VecDeque<(Timestamp, u32)>,
}

impl Window {
    /// The hour of one token.
    pub fn hour() -> Self {
        Self {
            length: SignedDuration::from_hours(1),
            buckets: VecDeque::new(),
        }
    }

    /// The day of one account.
    pub fn day() -> Self {
        Self {
            length: SignedDuration::from_hours(24),
            buckets: VecDeque::new(),
        }
    }

    /// Counts requests that were made now.
    pub fn count(&mut self, requests: u32, now: Timestamp) {
        self.forget(now);
        let bucket = SignedDuration::from_secs(self.length.as_secs() / BUCKETS);
        match self.buckets.back_mut() {
            Some((begin, count)) if now.duration_since(*begin) < bucket => {
                *count = count.saturating_add(requests);
            }
            _ => self.buckets.push_back((now, requests)),
        }
    }

    /// How many requests the window holds.
    pub fn used(&self, now: Timestamp) -> u32 {
        let held = self
            .buckets
            .iter()
            .filter(|(begin, _)| self.holds(*begin, now));
        held.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// From when on a discovery leaves links their share of the limit; `None` if it does already.
    pub fn room_from(&self, limit: u32, now: Timestamp) -> Option<Timestamp> {
        let bound = (f64::from(limit) * (1.0 - LEFT_TO_LINKS)) as u32;
        let mut used = self.used(now);
        let mut room_from = None;
        for (begin, count) in self
            .buckets
            .iter()
            .filter(|(begin, _)| self.holds(*begin, now))
        {
            if used < bound {
                break;
            }
            used = used.saturating_sub(*count);
            room_from = begin.saturating_add(self.length).ok();
        }
        room_from
    }

    fn forget(&mut self, now: Timestamp) {
        while self
            .buckets
            .front()
            .is_some_and(|(begin, _)| !self.holds(*begin, now))
        {
            self.buckets.pop_front();
        }
    }

    fn holds(&self, begin: Timestamp, now: Timestamp) -> bool {
        now.duration_since(begin) < self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + minutes * 60).expect("in range")
    }

    #[test]
    fn requests_count_for_the_length_of_the_window() {
        let mut hour = Window::hour();
        hour.count(10, minute(0));
        hour.count(5, minute(30));
        assert_eq!(hour.used(minute(59)), 15);
        assert_eq!(hour.used(minute(60)), 5);
        assert_eq!(hour.used(minute(90)), 0);
    }

    #[test]
    fn a_window_stays_small_however_many_requests_it_counts() {
        let mut day = Window::day();
        for second in 0..200_000 {
            day.count(1, Timestamp::from_second(second).expect("in range"));
        }
        assert!(day.buckets.len() <= 25, "{}", day.buckets.len());
        let used = day.used(Timestamp::from_second(199_999).expect("in range"));
        assert!((82_000..=90_000).contains(&used), "{used}");
    }

    #[test]
    fn discoveries_leave_the_last_tenth_to_links() {
        let mut hour = Window::hour();
        hour.count(899, minute(0));
        assert_eq!(hour.room_from(1_000, minute(10)), None);
        hour.count(50, minute(10));
        assert_eq!(hour.room_from(1_000, minute(10)), Some(minute(60)));
        hour.count(900, minute(20));
        assert_eq!(hour.room_from(1_000, minute(20)), Some(minute(80)));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_break_the_count() {
        let mut hour = Window::hour();
        hour.count(1, minute(100));
        hour.count(1, minute(0));
        assert_eq!(hour.used(minute(0)), 2);
    }
}
