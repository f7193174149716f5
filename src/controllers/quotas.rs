//! Counts the used part of the request limits, and by whom it was used: by the hour for each token,
//! by the day for each account.
//!
//! 1Password counts the day for the whole account, which its tokens' sign-in host identifies best.
//! The time until which 1Password asks the operator to wait is kept, too. All of it can be stored,
//! so that the next leader continues from there.

mod stored;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::api::AccountPlan;
use crate::plan::quota::{Budget, Limits, Requests, Shares, Window};
use crate::telemetry::Metrics;

/// The counts of all integrations. Clones share the same counts.
#[derive(Clone, Debug, Default)]
pub struct Quotas {
    counts: Arc<Mutex<Counts>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Counts {
    hours: HashMap<String, Hour>,
    days: HashMap<String, Day>,
}

/// The requests of one token.
#[derive(Debug, Default)]
struct Hour {
    all: Spent,
    /// By requester.
    of: HashMap<String, Spent>,
    /// The links that are being issued, in the order of their start; their requests are not counted
    /// yet.
    under_way: Vec<UnderWay>,
    /// The plan's limits, once known.
    limits: Option<Limits>,
    /// 1Password has asked the operator to wait until this time.
    throttled_until: Option<Timestamp>,
}

/// The requests of one account.
#[derive(Debug)]
struct Day {
    all: Window,
    of: HashMap<String, Window>,
    limit: Option<u32>,
}

#[derive(Debug)]
struct Spent {
    reads: Window,
    writes: Window,
}

#[derive(Debug)]
struct UnderWay {
    loan: String,
    requester: String,
}

impl Default for Spent {
    fn default() -> Self {
        Self {
            reads: Window::hour(),
            writes: Window::hour(),
        }
    }
}

impl Spent {
    fn count(&mut self, requests: Requests, now: Timestamp) {
        self.reads.count(requests.reads, now);
        self.writes.count(requests.writes, now);
    }

    /// The time from which this many requests fit into a part of the limits, if they do not fit
    /// now.
    fn room_from(
        &self,
        needed: Requests,
        limits: Limits,
        part: impl Fn(u32) -> u32,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let room = |window: &Window, needed: u32, limit| match needed {
            0 => None,
            needed => window.room_from(needed, part(limit), now),
        };
        let reads = room(&self.reads, needed.reads, limits.reads);
        reads.max(room(&self.writes, needed.writes, limits.writes))
    }

    fn is_empty(&self, now: Timestamp) -> bool {
        self.reads.used(now) == 0 && self.writes.used(now) == 0
    }
}

impl Default for Day {
    fn default() -> Self {
        Self {
            all: Window::day(),
            of: HashMap::new(),
            limit: None,
        }
    }
}

/// The token and account that pay for requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Payer {
    /// The token's fingerprint.
    pub token: String,
    /// The account's host.
    pub host: String,
}

/// A link that is being issued. Until this is dropped, later callers count its requests as made.
pub(super) struct Promise {
    quotas: Quotas,
    token: String,
    loan: String,
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut counts = self.quotas.lock();
        if let Some(hour) = counts.hours.get_mut(&self.token) {
            let mine = hour
                .under_way
                .iter()
                .position(|link| link.loan == self.loan);
            mine.map(|index| hour.under_way.remove(index));
        }
    }
}

/// The requester, loan and limits of a budget query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The requester.
    pub requester: &'a str,
    /// The loan, by its grant's uid.
    pub loan: &'a str,
    /// The account's plan.
    pub plan: AccountPlan,
    /// The division of the limits.
    pub shares: Shares,
}

impl Quotas {
    /// Counts requests that were sent, and for whom.
    pub(super) fn count(
        &self,
        payer: &Payer,
        requester: Option<&str>,
        requests: Requests,
        now: Timestamp,
    ) {
        let mut counts = self.lock();
        let hour = counts.hours.entry(payer.token.clone()).or_default();
        hour.all.count(requests, now);
        let day = counts.days.entry(payer.host.clone()).or_default();
        day.all.count(requests.sum(), now);
        if let Some(requester) = requester {
            let of_them = day.of.entry(requester.to_owned());
            of_them
                .or_insert_with(Window::day)
                .count(requests.sum(), now);
            day.of.retain(|_, window| window.used(now) > 0);
        }
        if let (Some(requester), Some(hour)) = (requester, counts.hours.get_mut(&payer.token)) {
            let of_them = hour.of.entry(requester.to_owned()).or_default();
            of_them.count(requests, now);
            hour.of.retain(|_, spent| !spent.is_empty(now));
        }
        // A token that was not used for an hour is no longer worth remembering.
        counts.hours.retain(|_, hour| {
            let waits = hour.throttled_until.is_some_and(|until| until > now);
            waits || !hour.all.is_empty(now) || !hour.under_way.is_empty()
        });
        drop(counts);
        self.changed.notify_one();
    }

    /// Notes that 1Password asks the users of this token to wait.
    pub(super) fn throttle(&self, payer: &Payer, until: Timestamp) {
        let mut counts = self.lock();
        let hour = counts.hours.entry(payer.token.clone()).or_default();
        hour.throttled_until = hour.throttled_until.max(Some(until));
        drop(counts);
        self.changed.notify_one();
    }

    /// The time until which 1Password asks the users of this token to wait.
    pub(super) fn throttled_until(&self, payer: &Payer) -> Option<Timestamp> {
        let counts = self.lock();
        counts.hours.get(&payer.token)?.throttled_until
    }

    /// The time from which a discovery fits; `None` if it fits now.
    pub(super) fn room_from(
        &self,
        payer: &Payer,
        plan: AccountPlan,
        shares: Shares,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let limits = Limits::of(plan);
        let mut counts = self.lock();
        let part = |limit| shares.of_discoveries(limit);
        let hour = counts.hours.get_mut(&payer.token).and_then(|hour| {
            hour.limits = Some(limits);
            hour.all.room_from(Requests::READ, limits, part, now)
        });
        let day = counts.days.get_mut(&payer.host).and_then(|day| {
            day.limit = Some(limits.day);
            day.all.room_from(1, part(limits.day), now)
        });
        hour.max(day)
    }

    /// Shows the token and the account that have used the most.
    pub(super) fn show(&self, metrics: &Metrics, now: Timestamp) {
        self.lock().show(metrics, now);
    }

    /// The budget for a link of this requester, after the links that are already being issued.
    pub(super) fn budget(&self, payer: &Payer, wanted: Wanted<'_>, now: Timestamp) -> Budget {
        let (limits, shares) = (Limits::of(wanted.plan), wanted.shares);
        let counts = self.lock();
        let (hour, day) = (counts.hours.get(&payer.token), counts.days.get(&payer.host));
        // Earlier links have their budget; later ones count it as used.
        let before = hour.into_iter().flat_map(|hour| &hour.under_way);
        let before = before.take_while(|link| link.loan != wanted.loan);
        let (mut all, mut own) = (1, 1);
        for link in before {
            all += 1;
            own += u32::from(link.requester == wanted.requester);
        }
        let (all, own) = (Requests::LINK.times(all), Requests::LINK.times(own));
        let of_them = |limit| shares.of_requester(limit);
        let of_first_links = |limit| shares.of_first_links(limit);
        let own_hour = hour.and_then(|hour| hour.of.get(wanted.requester));
        let own_day = day.and_then(|day| day.of.get(wanted.requester));
        Budget {
            own_from: own_hour
                .and_then(|spent| spent.room_from(own, limits, of_them, now))
                .max(own_day.and_then(|day| day.room_from(own.sum(), of_them(limits.day), now))),
            first_links_from: hour
                .and_then(|hour| hour.all.room_from(all, limits, of_first_links, now))
                .max(day.and_then(|day| {
                    day.all
                        .room_from(all.sum(), of_first_links(limits.day), now)
                })),
        }
    }

    /// Notes that a link is being issued, until the returned value is dropped.
    pub(super) fn promise(&self, payer: &Payer, loan: &str, requester: &str) -> Promise {
        let under_way = UnderWay {
            loan: loan.to_owned(),
            requester: requester.to_owned(),
        };
        let mut counts = self.lock();
        let hour = counts.hours.entry(payer.token.clone()).or_default();
        hour.under_way.push(under_way);
        drop(counts);
        Promise {
            quotas: self.clone(),
            token: payer.token.clone(),
            loan: loan.to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Shows the token and the account that have used the most.
    fn show(&self, metrics: &Metrics, now: Timestamp) {
        let part = |used: u32, limit: u32| f64::from(used) / f64::from(limit);
        let hours = || {
            let known = self.hours.values();
            known.filter_map(|hour| hour.limits.map(|limits| (&hour.all, limits)))
        };
        let reads = hours().map(|(all, limits)| part(all.reads.used(now), limits.reads));
        let writes = hours().map(|(all, limits)| part(all.writes.used(now), limits.writes));
        let days = self.days.values().filter_map(|day| {
            let limit = day.limit?;
            Some(part(day.all.used(now), limit))
        });
        metrics
            .onepassword
            .quota_used("hour_reads", reads.fold(0.0, f64::max));
        metrics
            .onepassword
            .quota_used("hour_writes", writes.fold(0.0, f64::max));
        metrics
            .onepassword
            .quota_used("day", days.fold(0.0, f64::max));
    }
}

#[cfg(test)]
mod tests;
