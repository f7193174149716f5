//! How much of the request limits is used up, by our own count: by the hour for each token, by the day for each account.
//!
//! 1Password counts the day for the whole account, which is told best by the host that its tokens sign in to.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::api::AccountPlan;
use crate::plan::quota::{Limits, Window};
use crate::telemetry::Metrics;

/// The counts of all integrations.
#[derive(Debug, Default)]
pub struct Quotas(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    hours: HashMap<String, Window>,
    days: HashMap<String, Window>,
}

/// Whose requests they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Payer {
    /// The token's fingerprint.
    pub token: String,
    /// The account's host.
    pub host: String,
}

impl Quotas {
    /// Counts requests that were sent.
    pub(super) fn count(&self, payer: &Payer, requests: u32, now: Timestamp) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = counts
            .hours
            .entry(payer.token.clone())
            .or_insert_with(Window::hour);
        hour.count(requests, now);
        let day = counts
            .days
            .entry(payer.host.clone())
            .or_insert_with(Window::day);
        day.count(requests, now);
        // A token that was not used for an hour is no longer worth remembering.
        counts.hours.retain(|_, hour| hour.used(now) > 0);
    }

    /// From when on there is room for a discovery; `None` if there is now.
    pub(super) fn room_from(
        &self,
        payer: &Payer,
        plan: AccountPlan,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let limits = Limits::of(plan);
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = counts.hours.get(&payer.token);
        let day = counts.days.get(&payer.host);
        for (name, window, limit) in [("hour", hour, limits.hour), ("day", day, limits.day)] {
            let used = window.map_or(0, |window| window.used(now));
            metrics.quota_used(name, f64::from(used) / f64::from(limit));
        }
        let hour = hour.and_then(|hour| hour.room_from(limits.hour, now));
        let day = day.and_then(|day| day.room_from(limits.day, now));
        hour.max(day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_shared_by_the_tokens_of_an_account_and_the_hour_is_not() {
        let (quotas, metrics) = (Quotas::default(), Metrics::new());
        let payer = |token: &str| Payer {
            token: token.into(),
            host: "acme.1password.com".into(),
        };
        let now = Timestamp::UNIX_EPOCH;
        let plan = AccountPlan::Families;
        quotas.count(&payer("a"), 950, now);
        let (own, other) = (payer("a"), payer("b"));
        assert!(quotas.room_from(&own, plan, &metrics, now).is_some());
        assert!(
            quotas.room_from(&other, plan, &metrics, now).is_some(),
            "by the day"
        );
        let business = AccountPlan::Business;
        assert_eq!(quotas.room_from(&own, business, &metrics, now), None);
    }
}
