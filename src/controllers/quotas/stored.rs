//! Writes the counts down and reads them again, with times in seconds to be small.

use std::collections::{BTreeMap, HashMap};

use futures::FutureExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Counts, Day, Hour, Quotas, Spent};
use crate::plan::quota::Window;

/// The maximum length of the text, much less than an object may hold.
const LONGEST: usize = 500_000;

/// All counts.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kept {
    /// By the token's fingerprint.
    tokens: BTreeMap<String, OfToken>,
    /// By the host.
    accounts: BTreeMap<String, OfAccount>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OfToken {
    throttled_until: Option<i64>,
    all: OfHour,
    by_requester: BTreeMap<String, OfHour>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct OfHour {
    reads: Buckets,
    writes: Buckets,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OfAccount {
    all: Buckets,
    by_requester: BTreeMap<String, Buckets>,
}

/// Start times and counts.
type Buckets = Vec<(i64, u32)>;

impl Quotas {
    /// Waits until something has been counted since the last call.
    pub(in crate::controllers) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether something has been counted since [`Self::changed`] last completed.
    pub(in crate::controllers) fn has_changed(&self) -> bool {
        self.changed.notified().now_or_never().is_some()
    }

    /// All counts that still matter, as text.
    pub(in crate::controllers) fn written(&self, now: Timestamp) -> serde_json::Result<String> {
        let mut kept = Kept::of(&self.lock(), now);
        let text = serde_json::to_string(&kept)?;
        if text.len() <= LONGEST {
            return Ok(text);
        }
        // With very many people, only the totals are kept, which are what 1Password counts.
        kept.tokens
            .values_mut()
            .for_each(|token| token.by_requester.clear());
        kept.accounts
            .values_mut()
            .for_each(|account| account.by_requester.clear());
        serde_json::to_string(&kept)
    }

    /// Takes in stored counts for tokens and accounts that have no counts yet.
    pub(in crate::controllers) fn read(
        &self,
        text: &str,
        now: Timestamp,
    ) -> serde_json::Result<()> {
        let kept: Kept = serde_json::from_str(text)?;
        let mut counts = self.lock();
        for (token, of_it) in kept.tokens {
            let hour = counts.hours.entry(token);
            hour.or_insert_with(|| of_it.hour(now));
        }
        for (host, of_it) in kept.accounts {
            let day = counts.days.entry(host);
            day.or_insert_with(|| of_it.day(now));
        }
        Ok(())
    }
}

impl Kept {
    fn of(counts: &Counts, now: Timestamp) -> Self {
        let tokens = counts.hours.iter().map(|(token, hour)| {
            let throttled_until = hour.throttled_until.filter(|until| *until > now);
            let of_it = OfToken {
                throttled_until: throttled_until.map(Timestamp::as_second),
                all: OfHour::of(&hour.all, now),
                by_requester: each(&hour.of, |spent| OfHour::of(spent, now)),
            };
            (token.clone(), of_it)
        });
        let accounts = counts.days.iter().map(|(host, day)| {
            let of_it = OfAccount {
                all: buckets(&day.all, now),
                by_requester: each(&day.of, |window| buckets(window, now)),
            };
            (host.clone(), of_it)
        });
        Self {
            tokens: tokens.collect(),
            accounts: accounts.collect(),
        }
    }
}

impl OfToken {
    fn hour(self, now: Timestamp) -> Hour {
        let of = self.by_requester.into_iter();
        let until = self.throttled_until;
        Hour {
            all: self.all.spent(now),
            of: of.map(|(who, of_them)| (who, of_them.spent(now))).collect(),
            throttled_until: until.and_then(|until| Timestamp::from_second(until).ok()),
            ..Hour::default()
        }
    }
}

impl OfAccount {
    fn day(self, now: Timestamp) -> Day {
        let of = self.by_requester.into_iter();
        let windows = of.map(|(who, of_them)| (who, filled(Window::day(), of_them, now)));
        Day {
            all: filled(Window::day(), self.all, now),
            of: windows.collect(),
            limit: None,
        }
    }
}

impl OfHour {
    fn of(spent: &Spent, now: Timestamp) -> Self {
        Self {
            reads: buckets(&spent.reads, now),
            writes: buckets(&spent.writes, now),
        }
    }

    fn spent(self, now: Timestamp) -> Spent {
        Spent {
            reads: filled(Window::hour(), self.reads, now),
            writes: filled(Window::hour(), self.writes, now),
        }
    }
}

fn each<T, U>(of: &HashMap<String, T>, kept: impl Fn(&T) -> U) -> BTreeMap<String, U> {
    let of = of.iter();
    of.map(|(who, what)| (who.clone(), kept(what))).collect()
}

fn buckets(window: &Window, now: Timestamp) -> Buckets {
    let counts = window.counts(now);
    counts.map(|(at, count)| (at.as_second(), count)).collect()
}

fn filled(window: Window, buckets: Buckets, now: Timestamp) -> Window {
    let counts = buckets.into_iter();
    let counts = counts.filter_map(|(at, count)| Some((Timestamp::from_second(at).ok()?, count)));
    window.filled(counts, now)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, hours, left, payer, writes};
    use super::*;

    #[test]
    fn whoever_leads_next_goes_on_from_the_same_counts() {
        let before = Quotas::default();
        before.count(&payer("a"), Some("mallory"), writes(25), NOW);
        before.count(&payer("a"), Some("alice"), writes(55), NOW);
        before.throttle(&payer("a"), hours(2));
        let after = Quotas::default();
        after.read(&before.written(NOW).unwrap(), NOW).unwrap();
        for who in ["mallory", "alice", "bob"] {
            assert_eq!(left(&after, who, who), left(&before, who, who), "{who}");
        }
        assert_eq!(left(&after, "bob", "b").first_links_from, Some(hours(1)));
        assert_eq!(after.throttled_until(&payer("a")), Some(hours(2)));
        assert_eq!(after.throttled_until(&payer("b")), None);
    }

    #[test]
    fn what_is_over_or_not_to_be_yet_does_not_count() {
        let before = Quotas::default();
        before.count(&payer("a"), Some("mallory"), writes(80), hours(1));
        let written = before.written(hours(1)).unwrap();
        let after = |now| {
            let quotas = Quotas::default();
            quotas.read(&written, now).unwrap();
            quotas.lock().hours["a"].all.writes.used(now)
        };
        assert_eq!((after(NOW), after(hours(1)), after(hours(2))), (0, 80, 0));
    }

    #[test]
    fn what_has_been_counted_meanwhile_is_not_overwritten() {
        let (before, after) = (Quotas::default(), Quotas::default());
        before.count(&payer("a"), None, writes(1), NOW);
        after.count(&payer("a"), None, writes(80), NOW);
        after.read(&before.written(NOW).unwrap(), NOW).unwrap();
        assert_eq!(after.lock().hours["a"].all.writes.used(NOW), 80);
    }

    #[test]
    fn it_stays_small_whoever_asks_and_nonsense_is_none() {
        let quotas = Quotas::default();
        for requester in 0..5_000 {
            let name = format!("{requester:0100}");
            quotas.count(&payer("a"), Some(&name), writes(1), NOW);
        }
        let written = quotas.written(NOW).unwrap();
        assert!(written.len() < LONGEST, "{}", written.len());
        let after = Quotas::default();
        after.read(&written, NOW).unwrap();
        assert_eq!(after.lock().hours["a"].all.writes.used(NOW), 5_000);
        assert!(after.read("no JSON", NOW).is_err());
        assert!(after.read("{}", NOW).is_ok());
    }
}
