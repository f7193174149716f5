//! Request limits: per token and hour, for reads and writes separately; per account and day, for
//! all together.
//!
//! 1Password publishes the numbers:
//! <https://developer.1password.com/docs/service-accounts/rate-limits>. A window begins with the
//! first request after the previous one ended. The page does not say whether sign-ins count; here
//! they do not. Nor does it say what a 429 carries; here it always has a `Retry-After`.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::account::Plan;
use crate::refusal::Refusal;

/// Whether a request reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Action {
    Read,
    Write,
}

/// A plan's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Per token and hour.
    pub reads_per_hour: u32,
    /// Per token and hour.
    pub writes_per_hour: u32,
    /// Per account and day.
    pub requests_per_day: u32,
}

impl Limits {
    /// The published limits of a plan.
    pub fn of(plan: Plan) -> Self {
        let (reads_per_hour, writes_per_hour, requests_per_day) = match plan {
            Plan::Business => (10_000, 1_000, 50_000),
            Plan::Teams => (1_000, 100, 5_000),
            Plan::Families | Plan::Individual => (1_000, 100, 1_000),
        };
        Self {
            reads_per_hour,
            writes_per_hour,
            requests_per_day,
        }
    }
}

/// The counts of the current windows.
#[derive(Default)]
pub struct Quotas {
    hours: HashMap<(String, Action), Window>,
    day: Window,
}

#[derive(Default)]
struct Window {
    began: Option<Timestamp>,
    used: u32,
}

impl Quotas {
    /// Counts a request of a token, or refuses it. Refused requests do not count.
    pub fn take(
        &mut self,
        token: &str,
        action: Action,
        limits: Limits,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (hourly, what) = match action {
            Action::Read => (limits.reads_per_hour, "reads"),
            Action::Write => (limits.writes_per_hour, "writes"),
        };
        let hour = self.hours.entry((token.to_owned(), action)).or_default();
        if let Some(wait) = hour.wait(hourly, SignedDuration::from_hours(1), now) {
            let reason = format!("this token has used up its {hourly} {what} of the hour");
            return Err(Refusal::rate_limited(reason, wait));
        }
        let daily = limits.requests_per_day;
        if let Some(wait) = self.day.wait(daily, SignedDuration::from_hours(24), now) {
            let reason = format!("the account has used up its {daily} requests of the day");
            return Err(Refusal::rate_limited(reason, wait));
        }
        hour.used += 1;
        self.day.used += 1;
        Ok(())
    }
}

impl Window {
    /// The number of seconds to wait if the limit is reached; begins a new window if the old one is
    /// over.
    fn wait(&mut self, limit: u32, length: SignedDuration, now: Timestamp) -> Option<u64> {
        let began = match self.began {
            Some(began) if now.duration_since(began) < length => began,
            _ => {
                self.used = 0;
                *self.began.insert(now)
            }
        };
        let left = length - now.duration_since(began);
        // One more second, so that a client that waits exactly this long finds a new window.
        (self.used >= limit).then(|| left.as_secs().unsigned_abs() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits {
        reads_per_hour: 2,
        writes_per_hour: 1,
        requests_per_day: 4,
    };

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    #[test]
    fn reads_and_writes_of_a_token_are_counted_apart_for_an_hour() {
        let mut quotas = Quotas::default();
        let mut take =
            |token, action, minutes| quotas.take(token, action, SMALL, at(minutes)).is_ok();
        assert!(take("a", Action::Read, 0) && take("a", Action::Read, 30));
        assert!(
            !take("a", Action::Read, 59),
            "the third read within the hour"
        );
        assert!(take("a", Action::Write, 59), "a write is not a read");
        assert!(
            take("a", Action::Read, 60),
            "the hour began with the first read"
        );
    }

    #[test]
    fn the_day_counts_all_tokens_together() {
        let mut quotas = Quotas::default();
        let mut take =
            |token, minutes| quotas.take(token, Action::Read, SMALL, at(minutes)).is_ok();
        assert!(take("a", 0) && take("a", 0) && take("b", 0) && take("b", 0));
        assert!(!take("c", 0), "the day's four requests are used up");
        assert!(take("c", 24 * 60), "the next day");
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let mut quotas = Quotas::default();
        quotas.take("a", Action::Write, SMALL, at(0)).unwrap();
        let refusal = quotas.take("a", Action::Write, SMALL, at(50)).unwrap_err();
        assert!(
            format!("{refusal:?}").contains("retry_after: Some(601)"),
            "{refusal:?}"
        );
        assert!(quotas.take("a", Action::Write, SMALL, at(50 + 11)).is_ok());
    }

    #[test]
    fn each_plan_has_the_limits_that_1password_documents() {
        for (plan, reads_per_hour, writes_per_hour, requests_per_day) in [
            (Plan::Business, 10_000, 1_000, 50_000),
            (Plan::Teams, 1_000, 100, 5_000),
            (Plan::Families, 1_000, 100, 1_000),
            (Plan::Individual, 1_000, 100, 1_000),
        ] {
            let expected = Limits {
                reads_per_hour,
                writes_per_hour,
                requests_per_day,
            };
            assert_eq!(Limits::of(plan), expected, "{plan:?}");
        }
    }
}
