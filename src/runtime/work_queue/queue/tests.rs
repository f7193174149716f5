//! Tests the queue with tables and properties; each test sets the time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A running queue in which every pass is a request.
fn queue() -> Queue<&'static str> {
    classified(|_| Class::of(Urgency::Request))
}

fn classified<K: Clone + Eq + Hash>(
    classify: impl Fn(&K) -> Class + Send + Sync + 'static,
) -> Queue<K> {
    Queue {
        classify: Some(Box::new(classify)),
        ..Queue::new()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

#[test]
fn asking_twice_is_one_pass_and_asking_during_a_pass_is_another_one_after_it() {
    let mut queue = queue();
    queue.enqueue("a");
    queue.enqueue("a");
    assert_eq!(queue.take(at(0)).0, ["a"]);
    queue.enqueue("a");
    assert!(queue.take(at(0)).0.is_empty(), "never twice at a time");
    queue.end("a", Outcome::Waiting(None), at(0));
    assert_eq!(queue.take(at(0)).0, ["a"]);
}

#[test]
fn an_object_waits_from_its_request_until_its_pass_begins() {
    let mut queue = classified(|key: &&str| match *key {
        "ending" => Class::of(Urgency::Ending),
        _ => Class::of(Urgency::Request),
    });
    queue.enqueue("a");
    queue.enqueue("a");
    queue.resume("a");
    queue.enqueue("ending");
    assert_eq!(queue.waiting, 2);
    assert_eq!(queue.take(at(0)).0.len(), 2);
    queue.enqueue("a");
    assert_eq!(queue.waiting, 0, "its pass has begun");
    queue.end("a", Outcome::Waiting(Some(at(5))), at(0));
    assert_eq!(queue.waiting, 1);
    assert_eq!(queue.take(at(0)).0, ["a"]);
    assert_eq!(queue.waiting, 0);
}

#[test]
fn a_pass_that_waits_is_repeated_when_it_is_time_and_after_ten_minutes_at_the_latest() {
    let mut queue = queue();
    for (key, until) in [
        ("soon", Some(at(5))),
        ("late", Some(at(9_999))),
        ("open", None),
    ] {
        queue.enqueue(key);
        queue.take(at(0));
        queue.end(key, Outcome::Waiting(until), at(0));
    }
    assert_eq!(queue.take(at(4)), (vec![], Some(at(5))));
    assert_eq!(queue.take(at(5)).0, ["soon"]);
    assert!(queue.take(at(479)).0.is_empty(), "never much earlier");
    let mut last = queue.take(at(600)).0;
    last.sort_unstable();
    assert_eq!(last, ["late", "open"]);
}

#[test]
fn failures_are_repeated_ever_more_slowly_until_one_succeeds() {
    let mut queue = queue();
    let mut now = at(0);
    let mut waits = vec![];
    for outcome in [Outcome::Failed; 11]
        .into_iter()
        .chain([Outcome::Waiting(Some(at(0)))])
    {
        queue.enqueue("a");
        queue.take(now);
        queue.end("a", outcome, now);
        let next = queue.wakes["a"].at;
        waits.push(next.duration_since(now).as_secs());
        now = next;
    }
    assert_eq!(waits[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    assert!(queue.failures.is_empty());
}

#[test]
fn what_is_gone_is_forgotten_entirely() {
    let mut queue = queue();
    queue.enqueue("a");
    queue.take(at(0));
    queue.end("a", Outcome::Gone, at(0));
    assert_eq!(queue.take(at(1_000_000)), (vec![], None));
    queue.enqueue_all_that_wait();
    assert!(queue.holds_nothing());
}

#[test]
fn a_plan_that_never_comes_to_rest_is_slowed_down() {
    let mut queue = queue();
    queue.enqueue("a");
    let mut passes = 0;
    while passes < 1000 && !queue.take(at(0)).0.is_empty() {
        passes += 1;
        queue.end("a", Outcome::Applied, at(0));
    }
    assert_eq!(passes, MOST_IN_A_ROW + 1);
    assert_eq!(queue.take(at(1)).0, ["a"], "it is tried again later");
    queue.end("a", Outcome::Waiting(None), at(1));
    queue.enqueue("a");
    queue.take(at(1));
    queue.end("a", Outcome::Applied, at(1));
    assert_eq!(
        queue.take(at(1)).0,
        ["a"],
        "after a rest it may act at once again"
    );
}

#[test]
fn what_need_not_be_on_time_is_never_all_due_at_once() {
    let mut queue = classified(|_: &usize| Class::of(Urgency::Request));
    for n in 0..1000 {
        queue.enqueue(n);
        queue.take(at(0));
        queue.end(n, Outcome::Waiting(None), at(0));
    }
    let in_each_minute = queue.wakes.values().fold(BTreeMap::new(), |mut of, wake| {
        *of.entry(wake.at.as_second() / 60).or_insert(0) += 1;
        of
    });
    let minutes: Vec<_> = in_each_minute.keys().copied().collect();
    assert!(
        [vec![8, 9], vec![8, 9, 10]].contains(&minutes),
        "{minutes:?}"
    );
    assert!(in_each_minute.values().all(|count| *count < 700));
}

/// The first letter is the urgency, the second one the owner.
fn by_name(key: &&'static str) -> Class {
    let urgency = match &key[..1] {
        "e" => Urgency::Ending,
        "h" => Urgency::HandOver,
        "n" => Urgency::Renewal,
        _ => Urgency::Request,
    };
    Class {
        urgency,
        owner: key[1..2].to_owned(),
    }
}

#[test]
fn the_most_urgent_begins_first_and_requests_go_round_by_owner() {
    let mut queue = classified(by_name);
    for key in ["rm1", "rm2", "rm3", "ra1", "na1", "ha1", "ea1"] {
        queue.enqueue(key);
    }
    let begun = queue.take(at(0)).0;
    assert_eq!(begun, ["ea1", "ha1", "na1", "rm1", "ra1", "rm2", "rm3"]);
}

#[test]
fn only_so_many_pass_at_a_time_and_what_cannot_wait_has_places_of_its_own() {
    let mut queue = classified(|n: &usize| match n {
        0..100 => Class::of(Urgency::Request),
        _ => Class::of(Urgency::Ending),
    });
    (0..50).for_each(|n| queue.enqueue(n));
    assert_eq!(queue.take(at(0)).0, Vec::from_iter(0..AT_A_TIME));
    (100..150).for_each(|n| queue.enqueue(n));
    let urgent = Vec::from_iter(100..100 + URGENT_AT_A_TIME);
    assert_eq!(queue.take(at(0)).0, urgent);
    // A pass that waits for something slow releases its slot, once.
    queue.release_slot(&100);
    queue.release_slot(&100);
    assert_eq!(queue.take(at(0)).0, [100 + URGENT_AT_A_TIME]);
    queue.end(100, Outcome::Waiting(None), at(0));
    assert!(queue.take(at(0)).0.is_empty());
    queue.end(101, Outcome::Waiting(None), at(0));
    assert_eq!(queue.take(at(0)).0, [101 + URGENT_AT_A_TIME]);
}

#[test]
fn what_becomes_more_urgent_does_not_wait_in_its_line_and_has_one_pass() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = is_over.clone();
    let mut queue = classified(move |n: &usize| match (n, seen.load(Ordering::Relaxed)) {
        (7, true) => Class::of(Urgency::Ending),
        _ => Class::of(Urgency::Request),
    });
    (0..100).for_each(|n| queue.enqueue(n));
    is_over.store(true, Ordering::Relaxed);
    queue.enqueue(7);
    let mut begun = Vec::new();
    loop {
        let now = queue.take(at(0)).0;
        if now.is_empty() {
            break;
        }
        for n in now {
            begun.push(n);
            queue.end(n, Outcome::Gone, at(0));
        }
    }
    assert_eq!(begun[0], 7);
    begun.sort_unstable();
    assert_eq!(begun, Vec::from_iter(0..100));
    assert!(queue.holds_nothing());
}

/// What happens to a queue with a few objects.
#[derive(Clone, Debug)]
enum Step {
    Ask(usize),
    Take,
    Aside(usize),
    End(usize, Outcome),
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let object = 0_usize..40;
    let outcome = prop_oneof![
        Just(Outcome::Applied),
        Just(Outcome::Waiting(None)),
        (0_i64..5_000).prop_map(|second| Outcome::Waiting(Some(at(second)))),
        Just(Outcome::Failed),
        Just(Outcome::Gone),
    ];
    let step = prop_oneof![
        4 => object.clone().prop_map(Step::Ask),
        2 => Just(Step::Take),
        1 => object.clone().prop_map(Step::Aside),
        4 => (object, outcome).prop_map(|(n, outcome)| Step::End(n, outcome)),
        1 => (0_i64..400).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..300)
}

proptest! {
    /// Invariants: an object never has two passes at the same time, every requested pass runs, and
    /// the number of running passes is limited.
    #[test]
    fn nothing_is_lost_and_nothing_passes_twice_at_a_time(steps in steps()) {
        let mut queue = classified(|n: &usize| Class {
            urgency: [Urgency::Ending, Urgency::Renewal, Urgency::Request][n % 3],
            owner: (n % 4).to_string(),
        });
        let (mut now, mut passing, mut wanted) = (at(0), HashMap::new(), HashSet::new());
        for step in steps {
            match step {
                Step::Ask(n) => {
                    queue.enqueue(n);
                    wanted.insert(n);
                }
                Step::Take => {
                    for n in queue.take(now).0 {
                        prop_assert!(passing.insert(n, false).is_none(), "{n} passes twice");
                        wanted.remove(&n);
                    }
                }
                Step::Aside(n) => {
                    queue.release_slot(&n);
                    passing.entry(n).and_modify(|aside| *aside = true);
                }
                Step::End(n, outcome) if passing.remove(&n).is_some() => {
                    queue.end(n, outcome, now);
                }
                Step::End(..) => {}
                Step::Pass(seconds) => now = later(now, SignedDuration::from_secs(seconds)),
            }
            let busy = passing.values().filter(|aside| !**aside).count();
            prop_assert_eq!(queue.busy, busy);
            prop_assert!(busy <= AT_A_TIME + URGENT_AT_A_TIME);
        }
        // In the end, every requested pass has run, and nothing is stored of gone objects.
        for n in passing.into_keys() {
            queue.end(n, Outcome::Gone, now);
        }
        loop {
            let begun = queue.take(Timestamp::MAX).0;
            if begun.is_empty() {
                break;
            }
            for n in begun {
                wanted.remove(&n);
                queue.end(n, Outcome::Gone, now);
            }
        }
        prop_assert_eq!(wanted, HashSet::new());
        prop_assert!(queue.holds_nothing());
    }

    /// Objects that change all the time do not starve the others.
    #[test]
    fn who_keeps_changing_starves_nobody(others in 1_usize..60, busy in 1_usize..60) {
        let mut queue = classified(|n: &usize| Class {
            urgency: Urgency::Request,
            owner: if *n < 1_000 { "quiet" } else { "busy" }.to_owned(),
        });
        (1_000..1_000 + busy).for_each(|n| queue.enqueue(n));
        (0..others).for_each(|n| queue.enqueue(n));
        let mut left: HashSet<_> = (0..others).collect();
        for _ in 0..2 * others + 2 {
            for n in queue.take(at(0)).0 {
                left.remove(&n);
                if n >= 1_000 {
                    queue.enqueue(n);
                }
                queue.end(n, Outcome::Waiting(None), at(0));
            }
        }
        prop_assert_eq!(left, HashSet::new());
    }
}
