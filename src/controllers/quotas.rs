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
    hours: HashMap<String, Counted>,
    days: HashMap<String, Counted>,
}

/// The requests of one token or account.
#[derive(Debug)]
struct Counted {
    window: Window,
    /// As many as its plan allows, once that is known.
    limit: Option<u32>,
}

impl Counted {
    fn new(window: Window) -> Self {
        Self {
            window,
            limit: None,
        }
    }

    /// When there is room again under this limit, if there is none now.
    fn room_from(&mut self, limit: u32, now: Timestamp) -> Option<Timestamp> {
        self.limit = Some(limit);
        self.window.room_from(limit, now)
    }

    fn share(&self, now: Timestamp) -> Option<f64> {
        let limit = self.limit?;
        Some(f64::from(self.window.used(now)) / f64::from(limit))
    }
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
            .or_insert_with(|| Counted::new(Window::hour()));
        hour.window.count(requests, now);
        let day = counts
            .days
            .entry(payer.host.clone())
            .or_insert_with(|| Counted::new(Window::day()));
        day.window.count(requests, now);
        // A token that was not used for an hour is no longer worth remembering.
        counts.hours.retain(|_, hour| hour.window.used(now) > 0);
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
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = counts.hours.get_mut(&payer.token);
        let hour = hour.and_then(|hour| hour.room_from(limits.hour, now));
        let day = counts.days.get_mut(&payer.host);
        let day = day.and_then(|day| day.room_from(limits.day, now));
        for (name, all) in [("hour", &counts.hours), ("day", &counts.days)] {
            let shares = all.values().filter_map(|counted| counted.share(now));
            metrics.quota_used(name, shares.fold(0.0, f64::max));
        }
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

    #[test]
    fn the_metric_is_of_the_account_that_has_used_up_most() {
        let (quotas, metrics) = (Quotas::default(), Metrics::new());
        let now = Timestamp::UNIX_EPOCH;
        for (name, requests) in [("busy", 250), ("idle", 10)] {
            let payer = Payer {
                token: name.into(),
                host: format!("{name}.1password.com"),
            };
            quotas.count(&payer, requests, now);
            quotas.room_from(&payer, AccountPlan::Families, &metrics, now);
        }
        let page = metrics.encode();
        let hour = r#"keyloan_onepassword_quota_used_ratio{limit="hour"} 0.25"#;
        assert!(page.contains(hour), "{page}");
    }
}
