//! An estimate of the remaining requests before 1Password's limits, and of who may use them.
//!
//! 1Password limits a service account's requests by the hour (for each token, reads and writes
//! separately) and by the day (for the whole account, all its service accounts together). The
//! operator does not see what others use, so these are estimates, and a 429 has the last word.
//!
//! Renewals come first: first links leave them a part of each limit, and discoveries leave another
//! part to links. No requester uses more than a part of each limit, for any purpose.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::api::{AccountPlan, IntegrationLimits};

use super::reasons::GrantReason;

/// The number of buckets of each window.
const BUCKETS: i64 = 24;
/// The percentage of each limit that discoveries leave to links, in addition to the part reserved
/// for renewals.
const LEFT_TO_LINKS: u32 = 10;

/// The number of requests that a plan allows, as published by 1Password
/// (<https://developer.1password.com/docs/service-accounts/rate-limits/>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Reads with one token in one hour.
    pub reads: u32,
    /// Writes with one token in one hour.
    pub writes: u32,
    /// Reads and writes by the whole account in 24 hours.
    pub day: u32,
}

impl Limits {
    /// The limits of a plan.
    pub fn of(plan: AccountPlan) -> Self {
        let (reads, writes, day) = match plan {
            AccountPlan::Business => (10_000, 1_000, 50_000),
            AccountPlan::Teams => (1_000, 100, 5_000),
            AccountPlan::Families | AccountPlan::Individual => (1_000, 100, 1_000),
        };
        Self { reads, writes, day }
    }
}

/// A number of requests that were made or are needed. A request that 1Password refused counts as
/// made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Requests that change nothing. Sign-ins count as reads; 1Password does not publish whether it
    /// counts them.
    pub reads: u32,
    /// Requests that create something.
    pub writes: u32,
}

impl Requests {
    /// The most that a link costs, without the sign-in: it reads the item, the sharing policy and
    /// the check of the recipients, and writes the share.
    pub const LINK: Self = Self {
        reads: 3,
        writes: 1,
    };
    /// One request that changes nothing, such as a list of items.
    pub const READ: Self = Self {
        reads: 1,
        writes: 0,
    };
    /// One request that creates something.
    pub const WRITE: Self = Self {
        reads: 0,
        writes: 1,
    };

    /// A multiple of the costs.
    pub fn times(self, factor: u32) -> Self {
        Self {
            reads: self.reads.saturating_mul(factor),
            writes: self.writes.saturating_mul(factor),
        }
    }

    /// Reads and writes together.
    pub fn sum(self) -> u32 {
        self.reads.saturating_add(self.writes)
    }
}

impl std::ops::Add for Requests {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            reads: self.reads.saturating_add(more.reads),
            writes: self.writes.saturating_add(more.writes),
        }
    }
}

/// An integration's division of its limits, in percent of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The part that one requester may use.
    pub requester: u32,
    /// The part that first links and discoveries leave to renewals.
    pub renewals: u32,
}

impl Shares {
    /// From an integration's limits, or the defaults if it sets none.
    pub fn of(limits: Option<&IntegrationLimits>) -> Self {
        let defaults = IntegrationLimits::default();
        let limits = limits.unwrap_or(&defaults);
        Self {
            requester: limits.requester_share,
            renewals: limits.renewal_share,
        }
    }

    /// The part of a limit that one requester may use.
    pub fn of_requester(self, limit: u32) -> u32 {
        percent(limit, self.requester)
    }

    /// The part of a limit that first links may use.
    pub fn of_first_links(self, limit: u32) -> u32 {
        percent(limit, 100_u32.saturating_sub(self.renewals))
    }

    /// The part of a limit that discoveries may use.
    pub fn of_discoveries(self, limit: u32) -> u32 {
        let kept = self.renewals.saturating_add(LEFT_TO_LINKS);
        percent(limit, 100_u32.saturating_sub(kept))
    }
}

/// At least one request: any part of a limit allows one.
fn percent(limit: u32, percent: u32) -> u32 {
    let part = u64::from(limit) * u64::from(percent.min(100)) / 100;
    u32::try_from(part).unwrap_or(u32::MAX).max(1)
}

/// The remainder of an account's limits, for one requester.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// The requester has used up their share; another link of theirs fits from this time on.
    pub own_from: Option<Timestamp>,
    /// The remainder is reserved for renewals; another first link fits from this time on.
    pub first_links_from: Option<Timestamp>,
}

/// The reason why a link has to wait for the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The end of the wait.
    pub until: Timestamp,
    /// The reason.
    pub reason: GrantReason,
    /// One sentence.
    pub message: String,
}

impl Budget {
    /// The wait that a renewal needs.
    pub fn renewal(&self, now: Timestamp) -> Option<Wait> {
        let until = self.own_from.filter(|from| *from > now)?;
        Some(Wait {
            until,
            reason: GrantReason::RequesterShareUsed,
            message: format!(
                "you have used up your share of the account's request limits at 1Password (the \
                 integration's limits.requesterShare); next try at {until:.0}"
            ),
        })
    }

    /// The wait that a first link, or a lookup of its item, needs.
    pub fn first_link(&self, now: Timestamp) -> Option<Wait> {
        let kept = self.first_links_from.filter(|from| *from > now);
        let kept = kept.map(|until| Wait {
            until,
            reason: GrantReason::KeptForRenewals,
            message: format!(
                "the rest of the account's request limits at 1Password is reserved for renewals \
                 (the integration's limits.renewalShare); next try at {until:.0}"
            ),
        });
        self.renewal(now)
            .into_iter()
            .chain(kept)
            .max_by_key(|wait| wait.until)
    }
}

/// Requests counted over a moving time window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    length: SignedDuration,
    /// The start times of buckets and their counts, oldest first.
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
        if requests == 0 {
            return;
        }
        let bucket = SignedDuration::from_secs(self.length.as_secs() / BUCKETS);
        match self.buckets.back_mut() {
            Some((begin, count)) if now.duration_since(*begin) < bucket => {
                *count = count.saturating_add(requests);
            }
            _ => self.buckets.push_back((now, requests)),
        }
    }

    /// The number of requests in the window.
    pub fn used(&self, now: Timestamp) -> u32 {
        let held = self
            .buckets
            .iter()
            .filter(|(begin, _)| self.holds(*begin, now));
        held.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The time from which this many more requests stay within the bound; `None` if they do
    /// already, or if waiting does not help.
    pub fn room_from(&self, needed: u32, bound: u32, now: Timestamp) -> Option<Timestamp> {
        let mut used = self.used(now);
        let mut room_from = None;
        for (begin, count) in self
            .buckets
            .iter()
            .filter(|(begin, _)| self.holds(*begin, now))
        {
            if used.saturating_add(needed) <= bound {
                break;
            }
            used = used.saturating_sub(*count);
            room_from = begin.saturating_add(self.length).ok();
        }
        room_from
    }

    /// The content: start times and counts, oldest first.
    pub fn counts(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, u32)> {
        let held = self.buckets.iter().copied();
        held.filter(move |(begin, _)| self.holds(*begin, now))
    }

    /// The same window with these counts; counts in the future are dropped.
    pub fn filled(
        mut self,
        counts: impl IntoIterator<Item = (Timestamp, u32)>,
        now: Timestamp,
    ) -> Self {
        let counts = counts.into_iter().filter(|(begin, _)| *begin <= now);
        self.buckets.extend(counts);
        self.buckets.make_contiguous().sort_unstable();
        self.forget(now);
        self
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
    fn there_is_room_once_enough_of_the_oldest_requests_have_left_the_window() {
        let mut hour = Window::hour();
        hour.count(24, minute(0));
        assert_eq!(hour.room_from(1, 25, minute(10)), None);
        hour.count(1, minute(10));
        assert_eq!(hour.room_from(1, 25, minute(10)), Some(minute(60)));
        hour.count(24, minute(20));
        assert_eq!(hour.room_from(1, 25, minute(20)), Some(minute(70)));
        assert_eq!(hour.room_from(10, 25, minute(20)), Some(minute(80)));
        assert_eq!(hour.room_from(0, 25, minute(80)), None);
    }

    /// Waiting does not help if no wait can free enough requests.
    #[test]
    fn an_empty_window_makes_nobody_wait() {
        assert_eq!(Window::hour().room_from(4, 1, minute(0)), None);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_break_the_count() {
        let mut hour = Window::hour();
        hour.count(1, minute(100));
        hour.count(1, minute(0));
        assert_eq!(hour.used(minute(0)), 2);
    }

    #[test]
    fn renewals_outlast_first_links_and_these_discoveries_and_nobody_has_it_all() {
        let shares = Shares::of(None);
        let writes = Limits::of(AccountPlan::Teams).writes;
        assert_eq!(shares.of_requester(writes), 25);
        assert_eq!(shares.of_first_links(writes), 80);
        assert_eq!(shares.of_discoveries(writes), 70);
        let least = IntegrationLimits {
            requester_share: 1,
            renewal_share: 90,
            ..IntegrationLimits::default()
        };
        let least = Shares::of(Some(&least));
        assert_eq!(least.of_requester(writes), 1);
        assert_eq!(least.of_first_links(writes), 10);
        assert_eq!(least.of_discoveries(writes), 1, "never nothing");
    }

    #[test]
    fn a_first_link_waits_for_both_and_a_renewal_for_the_requesters_own_share_only() {
        let budget = Budget {
            own_from: Some(minute(5)),
            first_links_from: Some(minute(7)),
        };
        let waits = |wait: Option<Wait>| wait.map(|wait| (wait.until, wait.reason));
        let now = minute(0);
        let own = Some((minute(5), GrantReason::RequesterShareUsed));
        assert_eq!(waits(budget.renewal(now)), own);
        assert_eq!(
            waits(budget.first_link(now)),
            Some((minute(7), GrantReason::KeptForRenewals))
        );
        assert_eq!(waits(budget.first_link(minute(7))), None);
        let kept_only = Budget {
            own_from: None,
            ..budget
        };
        assert_eq!(waits(kept_only.renewal(now)), None);
    }
}
