//! How much of the request limits is used up, by our own count, and by whom: by the hour for each token, by the day for each account.
//!
//! 1Password counts the day for the whole account, which is told best by the host that its tokens sign in to. Lost at a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::api::AccountPlan;
use crate::plan::quota::{Budget, Limits, Requests, Shares, Window};
use crate::telemetry::Metrics;

/// The counts of all integrations. Clones are the same counts.
#[derive(Clone, Debug, Default)]
pub struct Quotas(Arc<Mutex<Counts>>);

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
    /// The links that are being made, in the order in which they began: their requests are not counted yet.
    under_way: Vec<UnderWay>,
    /// As many as its plan allows, once that is known.
    limits: Option<Limits>,
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

    /// When so many requests have room in a part of the limits, if they have none now.
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

/// Whose requests they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Payer {
    /// The token's fingerprint.
    pub token: String,
    /// The account's host.
    pub host: String,
}

/// A link that is being made: until this is dropped, its requests count as made, for those that come after it.
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

/// For whom and for what there is to be room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The requester.
    pub requester: &'a str,
    /// The loan, by its grant's uid.
    pub loan: &'a str,
    /// What the account may use.
    pub plan: AccountPlan,
    /// How that is divided.
    pub shares: Shares,
}

impl Quotas {
    /// Counts requests that were sent, and whom they were sent for.
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
        counts
            .hours
            .retain(|_, hour| !hour.all.is_empty(now) || !hour.under_way.is_empty());
    }

    /// From when on there is room for a discovery; `None` if there is now.
    pub(super) fn room_from(
        &self,
        payer: &Payer,
        plan: AccountPlan,
        shares: Shares,
        metrics: &Metrics,
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
        counts.show(metrics, now);
        hour.max(day)
    }

    /// What is left for a link of this requester, besides those that are being made already.
    pub(super) fn budget(&self, payer: &Payer, wanted: Wanted<'_>, now: Timestamp) -> Budget {
        let (limits, shares) = (Limits::of(wanted.plan), wanted.shares);
        let counts = self.lock();
        let (hour, day) = (counts.hours.get(&payer.token), counts.days.get(&payer.host));
        // Who came first has its room; the others count it as used.
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

    /// Notes that a link is being made, until what is returned is dropped.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Of all tokens and accounts the one that has used up most.
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
        metrics.quota_used("hour_reads", reads.fold(0.0, f64::max));
        metrics.quota_used("hour_writes", writes.fold(0.0, f64::max));
        metrics.quota_used("day", days.fold(0.0, f64::max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use rstest::rstest;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn payer(token: &str) -> Payer {
        Payer {
            token: token.into(),
            host: "acme.1password.com".into(),
        }
    }

    fn reads(reads: u32) -> Requests {
        Requests { reads, writes: 0 }
    }

    fn writes(writes: u32) -> Requests {
        Requests { reads: 0, writes }
    }

    fn hours(hours: i64) -> Timestamp {
        NOW + SignedDuration::from_hours(hours)
    }

    /// What is left of a Teams account for somebody, with the usual shares.
    fn left(quotas: &Quotas, requester: &str, loan: &str) -> Budget {
        let wanted = Wanted {
            requester,
            loan,
            plan: AccountPlan::Teams,
            shares: Shares::of(None),
        };
        quotas.budget(&payer("a"), wanted, NOW)
    }

    #[test]
    fn the_day_is_shared_by_the_tokens_of_an_account_and_the_hour_is_not() {
        let (quotas, metrics, shares) = (Quotas::default(), Metrics::new(), Shares::of(None));
        quotas.count(&payer("a"), None, reads(950), NOW);
        let room = |token, plan| quotas.room_from(&payer(token), plan, shares, &metrics, NOW);
        assert_eq!(room("a", AccountPlan::Teams), Some(hours(1)));
        assert_eq!(room("b", AccountPlan::Teams), None);
        assert_eq!(
            room("b", AccountPlan::Families),
            Some(hours(24)),
            "by the day"
        );
        assert_eq!(room("a", AccountPlan::Business), None);
    }

    /// The hour's hundred writes would be gone long before its thousand reads.
    #[rstest]
    #[case::own_writes(writes(25), Some(hours(1)), None)]
    #[case::own_reads(reads(248), Some(hours(1)), None)]
    #[case::just_room_for_one(writes(24), None, None)]
    #[case::reads_are_no_writes(reads(100), None, None)]
    #[case::all_that_is_not_kept(writes(80), Some(hours(1)), Some(hours(1)))]
    fn a_requester_has_a_share_of_reads_and_of_writes(
        #[case] used: Requests,
        #[case] own_from: Option<Timestamp>,
        #[case] first_links_from: Option<Timestamp>,
    ) {
        let quotas = Quotas::default();
        quotas.count(&payer("a"), Some("mallory"), used, NOW);
        let expected = Budget {
            own_from,
            first_links_from,
        };
        assert_eq!(left(&quotas, "mallory", "m"), expected);
        let others = Budget {
            own_from: None,
            first_links_from,
        };
        assert_eq!(left(&quotas, "alice", "a"), others);
    }

    #[test]
    fn the_day_has_shares_too() {
        let quotas = Quotas::default();
        for hour in 0..10 {
            quotas.count(&payer("a"), Some("mallory"), reads(125), hours(hour));
        }
        let at = hours(10);
        let budget = |requester| {
            let wanted = Wanted {
                requester,
                loan: "",
                plan: AccountPlan::Teams,
                shares: Shares::of(None),
            };
            quotas.budget(&payer("a"), wanted, at)
        };
        assert_eq!(budget("mallory").own_from, Some(hours(24)));
        assert_eq!(budget("alice"), Budget::default());
    }

    #[test]
    fn links_that_are_being_made_count_for_those_that_come_after_them() {
        let quotas = Quotas::default();
        quotas.count(&payer("a"), Some("mallory"), writes(24), NOW);
        let first = quotas.promise(&payer("a"), "one", "mallory");
        let _second = quotas.promise(&payer("a"), "two", "mallory");
        assert_eq!(left(&quotas, "mallory", "one").own_from, None);
        assert_eq!(left(&quotas, "mallory", "two").own_from, Some(hours(1)));
        assert_eq!(left(&quotas, "alice", "three"), Budget::default());
        drop(first);
        assert_eq!(left(&quotas, "mallory", "two").own_from, None);
    }

    #[test]
    fn who_has_used_nothing_for_an_hour_or_a_day_is_forgotten() {
        let quotas = Quotas::default();
        for requester in 0..1_000 {
            let name = requester.to_string();
            quotas.count(&payer("a"), Some(&name), writes(1), hours(requester / 100));
        }
        let counts = quotas.lock();
        assert_eq!(counts.hours["a"].of.len(), 100);
        assert_eq!(counts.days["acme.1password.com"].of.len(), 1_000);
        drop(counts);
        quotas.count(&payer("a"), Some("alice"), writes(1), hours(100));
        assert_eq!(quotas.lock().days["acme.1password.com"].of.len(), 1);
    }

    #[test]
    fn the_metric_is_of_the_account_that_has_used_up_most() {
        let (quotas, metrics, shares) = (Quotas::default(), Metrics::new(), Shares::of(None));
        for (name, requests) in [("busy", 50), ("idle", 10)] {
            let payer = Payer {
                token: name.into(),
                host: format!("{name}.1password.com"),
            };
            quotas.count(&payer, None, writes(requests), NOW);
            quotas.room_from(&payer, AccountPlan::Families, shares, &metrics, NOW);
        }
        let page = metrics.encode();
        for (limit, ratio) in [
            ("hour_writes", "0.5"),
            ("hour_reads", "0.0"),
            ("day", "0.05"),
        ] {
            let line =
                format!(r#"keyloan_onepassword_quota_used_ratio{{limit="{limit}"}} {ratio}"#);
            assert!(page.contains(&line), "{line} in {page}");
        }
    }
}
