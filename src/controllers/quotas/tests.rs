//! What is counted, for whom, and what remains.

use super::*;
use jiff::SignedDuration;
use rstest::rstest;

pub(super) const NOW: Timestamp = Timestamp::UNIX_EPOCH;

pub(super) fn payer(token: &str) -> Payer {
    Payer {
        token: token.into(),
        host: "acme.1password.com".into(),
    }
}

fn reads(reads: u32) -> Requests {
    Requests { reads, writes: 0 }
}

pub(super) fn writes(writes: u32) -> Requests {
    Requests { reads: 0, writes }
}

pub(super) fn hours(hours: i64) -> Timestamp {
    NOW + SignedDuration::from_hours(hours)
}

/// The budget of a requester in a Teams account with the default shares.
pub(super) fn left(quotas: &Quotas, requester: &str, loan: &str) -> Budget {
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
    let (quotas, shares) = (Quotas::default(), Shares::of(None));
    quotas.count(&payer("a"), None, reads(950), NOW);
    let room = |token, plan| quotas.room_from(&payer(token), plan, shares, NOW);
    assert_eq!(room("a", AccountPlan::Teams), Some(hours(1)));
    assert_eq!(room("b", AccountPlan::Teams), None);
    assert_eq!(
        room("b", AccountPlan::Families),
        Some(hours(24)),
        "by the day"
    );
    assert_eq!(room("a", AccountPlan::Business), None);
}

/// The hour's hundred writes would be used up long before its thousand reads.
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
        quotas.room_from(&payer, AccountPlan::Families, shares, NOW);
    }
    quotas.show(&metrics, NOW);
    let page = metrics.encode();
    for (limit, ratio) in [
        ("hour_writes", "0.5"),
        ("hour_reads", "0.0"),
        ("day", "0.05"),
    ] {
        let line = format!(r#"keyloan_onepassword_quota_used_ratio{{limit="{limit}"}} {ratio}"#);
        assert!(page.contains(&line), "{line} in {page}");
    }
}
