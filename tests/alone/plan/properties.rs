//! What holds for the plan of anything that could be seen.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

use jiff::{SignedDuration, Timestamp};
use keyloan::api::*;
use keyloan::plan::delivery::links::CALL_TIMEOUT;
use keyloan::plan::delivery::share_link::length;
use keyloan::plan::delivery::steps::IssueLink;
use keyloan::plan::effect::{Effect, Plan};
use keyloan::plan::ended_loan::RETENTION;
use keyloan::plan::grant::plan;
use keyloan::plan::observed::{LinkSeen, Observed};
use keyloan::plan::people::{blocked_by, first_blocked, is_blocked};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{FileFailurePersistence, RngSeed, TestRunner};

use super::arbitrary::{failure, lifetime, observed};
use super::bounds;
use super::deciders::{DAY, bob, carol, dave, frank, person};
use super::executor::{Reached, apply, fail_to_issue, issue_link, settle};
use super::world::{World, alice, at, span};

/// Where cases that failed once are kept, to be tried first in each run: commit what comes to stand there.
const REGRESSIONS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/alone/plan/regressions.txt"
);

/// Other cases in each run; the seed is printed, and a test that fails shows it. The same ones again, or more: `PROPTEST_RNG_SEED=7
/// PROPTEST_CASES=100000`.
#[allow(clippy::print_stdout, reason = "shown when the test fails")]
pub fn cases(least: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let seed = match asked.rng_seed {
        RngSeed::Random => RandomState::new().hash_one("seed"),
        RngSeed::Fixed(seed) => seed,
    };
    println!("PROPTEST_RNG_SEED={seed}");
    ProptestConfig {
        cases: asked.cases.max(least),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        ..asked
    }
}

fn link_to_issue(plan: &Plan) -> Option<&IssueLink> {
    match &plan.effect {
        Some(Effect::IssueLink(issue)) => Some(issue),
        _ => None,
    }
}

/// The end of a record's loan, computed again from the record alone.
fn end_of_loan(record: &AccessRecord) -> Option<Timestamp> {
    let mut issued = record.spec.links.iter();
    let first = issued.find(|l| l.outcome == Some(LinkOutcome::Issued))?;
    let start = first.issued_at.as_ref().unwrap_or(&first.intent_at).0;
    let duration = agreed_for(&record.spec.terms, &record.spec.decisions);
    Some(start.saturating_add(duration).unwrap_or(Timestamp::MAX))
}

/// How long a loan lasts, reckoned from what was agreed and from the approvals, each of which may shorten it.
pub fn agreed_for(terms: &Terms, decisions: &[CountedDecision]) -> SignedDuration {
    let approvals = decisions.iter();
    let approvals = approvals.filter(|decision| decision.decision == Decision::Approve);
    let shortened = approvals.filter_map(|decision| decision.max_duration.as_ref()?.parse());
    let asked = terms.duration.parse();
    let all = shortened.chain([asked.unwrap_or(SignedDuration::from_hours(1))]);
    all.min().expect("what was asked for, at least")
}

fn check_a_link_to_issue(
    issue: &IssueLink,
    seen: &Observed,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    let terms = &issue.agreement.terms;

    // Never public.
    prop_assert!(!terms.recipients.is_empty());
    for Email(address) in &terms.recipients {
        let parts: Vec<_> = address.split('@').collect();
        prop_assert!(
            matches!(parts[..], [local, domain] if !local.is_empty() && !domain.is_empty())
        );
    }

    check_who_agreed(issue, seen)?;

    // Never past the loan's end, also if the intent is written as late as it may be.
    prop_assert!(now <= issue.write_by);
    match seen.record.as_ref().and_then(|r| end_of_loan(r)) {
        Some(end) => {
            let latest = end.duration_since(issue.write_by) - CALL_TIMEOUT;
            prop_assert!(issue.opens_for <= latest, "{issue:?} ends after {end}");
        }
        // `expiresAt` of the loan is the first answer's arrival and the duration; the link was made before that.
        None => prop_assert!(issue.opens_for <= agreed_for(terms, &issue.decisions)),
    }
    prop_assert!(issue.opens_for <= length(terms.link_lifetime));

    // Only for a request that is there, by people and an integration that may.
    let grant = seen.grant.as_ref().expect("a grant");
    let integration = &seen.integration.as_ref().expect("an integration").object;
    prop_assert!(grant.metadata.deletion_timestamp.is_none());
    prop_assert_eq!(
        Some(&issue.agreement.grant.uid),
        grant.metadata.uid.as_ref()
    );
    prop_assert!(!integration.spec.suspend);
    let blocked = integration.spec.limits.iter().flat_map(|l| &l.blocked);
    prop_assert!(
        blocked
            .clone()
            .all(|b| b.name != issue.agreement.requester.username)
    );
    let blocked = blocked_by(integration);
    prop_assert!(!is_blocked(&issue.agreement.requester, blocked));
    prop_assert_eq!(first_blocked(terms.recipients.iter(), blocked), None);
    prop_assert!(!matches!(
        seen.link,
        LinkSeen::Foreign | LinkSeen::OutOfReach
    ));
    // Within the integration's bounds over every flow.
    if let Some(limits) = &integration.spec.limits {
        prop_assert!(issue.opens_for <= length(limits.max_link_lifetime));
        let approve = |d: &&CountedDecision| d.decision == Decision::Approve;
        let approvals = issue.decisions.iter().filter(approve).count();
        let least = limits.min_approvals.filter(|_| issue.first).unwrap_or(0);
        prop_assert!(approvals >= least as usize);
    }
    let budget = seen.integration.as_ref().map(|i| i.budget.clone());
    prop_assert!(budget.is_none_or(|budget| budget.renewal(now).is_none()));
    let throttled = seen.integration.as_ref().and_then(|i| i.throttled_until);
    prop_assert!(throttled.is_none_or(|until| until <= now));
    prop_assert!(seen.attempt.as_ref().is_none_or(|a| a.retry_at() <= now));

    // Nothing starts after `notAfter`.
    let started = seen
        .record
        .as_ref()
        .is_some_and(|r| end_of_loan(r).is_some());
    let not_after = grant.spec.not_after.as_ref();
    let answered = issue.write_by.saturating_add(CALL_TIMEOUT);
    let answered = answered.unwrap_or(Timestamp::MAX);
    prop_assert!(started || not_after.is_none_or(|t| answered <= t.0));

    // Each link in its place.
    prop_assert_eq!(issue.first, seen.record.is_none());
    match &seen.record {
        None => prop_assert_eq!((issue.sequence, issue.lost), (1, None)),
        Some(record) => {
            let mut sequences = record.spec.links.iter().map(|l| l.sequence);
            prop_assert!(sequences.all(|s| s < issue.sequence));
            prop_assert!(record.spec.end.is_none());
            prop_assert!(record.spec.outcome != Some(RequestOutcome::Denied));
            prop_assert_eq!(&issue.agreement.requester, &record.spec.requester);
            let asked = grant.spec.requester.as_ref().expect("a requester");
            prop_assert_eq!(&asked.username, &record.spec.requester.username);
            prop_assert_eq!(terms, &record.spec.terms);
        }
    }
    Ok(())
}

/// A first link has the approvals that its terms ask for: of people, each once, none of them the requester.
fn check_who_agreed(issue: &IssueLink, seen: &Observed) -> Result<(), TestCaseError> {
    let Some(approval) = issue
        .agreement
        .terms
        .approval
        .as_ref()
        .filter(|_| issue.first)
    else {
        return Ok(());
    };
    prop_assert!(seen.boundary.broken.is_none());
    let people: BTreeSet<_> = issue.decisions.iter().map(|d| &d.user).collect();
    prop_assert_eq!(people.len(), issue.decisions.len());
    prop_assert!(!people.contains(&issue.agreement.requester.username));
    prop_assert!(people.iter().all(|name| !name.starts_with("system:")));
    prop_assert!(
        issue
            .decisions
            .iter()
            .all(|d| d.decision == Decision::Approve)
    );
    let has_enough = |group: &AgreedGroup| {
        let of_it = issue
            .decisions
            .iter()
            .filter(|d| d.group.as_ref() == Some(&group.name));
        of_it.count() >= group.required as usize
    };
    let agreed = match approval.mode {
        ApprovalMode::AnyOf => approval.groups.iter().any(has_enough),
        _ => approval.groups.iter().all(has_enough),
    };
    prop_assert!(agreed);
    Ok(())
}

fn check_what_is_deleted(
    plan: &Plan,
    seen: &Observed,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    match &plan.effect {
        Some(Effect::DeleteGrant) => {
            let grant = seen.grant.as_ref().expect("a grant");
            prop_assert!(grant.spec.not_after.as_ref().is_none_or(|t| t.0 <= now));
            let may_run = |r: &AccessRecord| {
                r.spec.end.is_none() && r.spec.outcome != Some(RequestOutcome::Denied)
            };
            prop_assert!(!seen.record.as_ref().is_some_and(|r| may_run(r)));
        }
        Some(Effect::DeleteRecord) => {
            let spec = &seen.record.as_ref().expect("a record").spec;
            let end = spec.end.as_ref().expect("an end").at.0;
            let over = spec.residual_until.as_ref().map_or(end, |t| t.0.max(end));
            let kept_until = over.saturating_add(RETENTION).unwrap_or(Timestamp::MAX);
            prop_assert!(now >= kept_until);
        }
        Some(Effect::DeleteLink) => {
            let ours = matches!(seen.link, LinkSeen::Present { .. });
            prop_assert!(ours);
        }
        _ => {}
    }
    Ok(())
}

/// An event shows something, and a status gives one at most.
fn check_events(plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert!(plan.events.len() <= 1, "{:?}", plan.events);
    prop_assert!(plan.events.iter().all(|event| !event.notes.is_empty()));
    Ok(())
}

/// What must hold when nothing more is to be done for now.
fn check_at_rest(seen: &Observed, now: Timestamp) -> Result<(), TestCaseError> {
    let plan = plan(seen, now);
    prop_assert_eq!(&plan.effect, &None);
    // A wait that goes beyond the last time there is ends with it: then there is no later one.
    prop_assert!(
        plan.wake
            .is_none_or(|wake| wake > now || now == Timestamp::MAX),
        "it would never rest: {:?}",
        plan.wake
    );
    prop_assert_eq!(&plan.events, &vec![], "each change is told once");
    let ended = seen.record.as_ref().is_some_and(|r| r.spec.end.is_some());
    prop_assert!(
        !(ended && matches!(seen.link, LinkSeen::Present { .. }) && seen.undeleted.is_none()),
        "an ended loan has no link, unless it cannot be deleted"
    );
    let Some(status) = plan.status else {
        return Ok(());
    };
    for condition in &status.conditions {
        let letters = |c: char| c.is_ascii_alphanumeric();
        prop_assert!(
            matches!(condition.status.as_str(), "True" | "False") || condition.message == "earlier"
        );
        prop_assert!(condition.reason.chars().all(letters) || condition.message == "earlier");
        prop_assert!(!condition.message.is_empty());
    }
    let active = status
        .conditions
        .iter()
        .any(|c| c.type_ == ACTIVE && c.status == "True");
    if active && let Some(link) = &status.link {
        prop_assert!(now < link.expires_at.0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(2000))]

    /// No input makes it panic, no link is public or outlives its loan, nothing is deleted before its time, and the API server
    /// takes each status: not in the first pass, and not in those that follow from it.
    #[test]
    fn a_plan_is_total_and_keeps_its_promises((seen, now) in observed()) {
        let mut seen = seen;
        for _ in 0..8 {
            let plan = plan(&seen, now);
            if let Some(issue) = link_to_issue(&plan) {
                check_a_link_to_issue(issue, &seen, now)?;
            }
            check_what_is_deleted(&plan, &seen, now)?;
            check_events(&plan)?;
            if let Some(status) = &plan.status {
                bounds::keeps(status).map_err(TestCaseError::fail)?;
            }
            seen = apply(&plan, seen, now);
        }
    }

    #[test]
    fn planning_and_applying_comes_to_rest_within_six_steps((seen, now) in observed()) {
        let rest = settle(seen, now).map_err(TestCaseError::fail)?;
        check_at_rest(&rest, now)?;
    }

    /// Each way to fail is a state from which the plan comes to rest, at once and an hour later.
    #[test]
    fn it_comes_to_rest_after_each_failure((seen, now) in observed(), failure in failure()) {
        let plan = plan(&seen, now);
        let Some(issue) = link_to_issue(&plan) else { return Ok(()); };
        let failed = fail_to_issue(issue, seen, failure, now);
        comes_to_rest(failed, now)?;
    }

    /// Each prefix of issuing a link is a state from which the plan comes to rest, at once and an hour later.
    #[test]
    fn it_comes_to_rest_after_each_interruption((seen, now) in observed()) {
        let plan = plan(&seen, now);
        let Some(issue) = link_to_issue(&plan) else { return Ok(()); };
        for reached in [Reached::Reads, Reached::Place, Reached::Intent, Reached::Secret, Reached::Closed] {
            comes_to_rest(issue_link(issue, seen.clone(), reached, now), now)?;
        }
    }
}

proptest! {
    #![proptest_config(cases(500))]

    /// To the second, about the time at which a link of some lifetime would just fit into the rest of the loan.
    #[test]
    fn a_further_link_ends_before_its_loan(
        hours in 2i64..1000,
        shortened in option::of(2i64..1000),
        ceiling in lifetime(),
        tried in lifetime(),
        seconds in -90i64..30,
    ) {
        let asked = World::asked().with(|w| {
            w.grant().spec.duration = Some(Span(format!("{hours}h")));
            w.flow().spec.grant.max_duration = span("365d");
            w.flow().spec.grant.link_lifetime = ceiling;
        });
        let shortened_to = shortened.map(|hours| format!("{hours}h"));
        let mut world = asked.approved_for(shortened_to.as_deref()).settled(0);
        world.seen.link = LinkSeen::Absent;
        let end = at(60 * shortened.unwrap_or(hours).min(hours));
        let now = end - length(tried) + SignedDuration::from_secs(seconds);
        world.asks_at(now);
        let plan = plan(&world.seen, now);
        if let Some(issue) = link_to_issue(&plan) {
            check_a_link_to_issue(issue, &world.seen, now)?;
        }
        // As long as it fits, the one that was tried or a longer one is taken, up to the flow's ceiling.
        let fits = seconds <= -60 && now > at(0) && now < end;
        if fits && tried <= ceiling {
            prop_assert!(link_to_issue(&plan).is_some_and(|issue| issue.opens_for >= length(tried)));
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// The API server accepts the status for any decisions of any people, however many.
    #[test]
    fn a_status_fits_however_many_decide(decisions in vec(word_of_somebody(), 0..60)) {
        let mut world = World::by_owner_and_two_of_security();
        for (who, decision, minute) in decisions {
            world.decide(who, decision, minute);
        }
        for minute in [60, 61, DAY, 2 * DAY] {
            let plans = [world.plan_at(minute), world.weighed_at(minute)];
            for status in plans.into_iter().filter_map(|plan| plan.status) {
                bounds::keeps(&status).map_err(TestCaseError::fail)?;
            }
            world = world.settled(minute);
        }
    }
}

/// Mostly approvals, and mostly such as have no effect.
fn word_of_somebody() -> impl Strategy<Value = (Identity, Decision, i64)> {
    let outside = || select(vec![alice(), person("mallory", &["engineering"])]);
    let who = prop_oneof![9 => outside(), 1 => select(vec![bob(), carol(), dave(), frank()])];
    let no = select(vec![Decision::Deny, Decision::Revoke]);
    let kind = prop_oneof![15 => Just(Decision::Approve), 1 => no];
    (who, kind, 1i64..60)
}

fn comes_to_rest(seen: Observed, now: Timestamp) -> Result<(), TestCaseError> {
    let at_once = settle(seen, now).map_err(TestCaseError::fail)?;
    check_at_rest(&at_once, now)?;
    let later = now
        .saturating_add(SignedDuration::from_hours(1))
        .unwrap_or(now);
    let rest = settle(at_once, later).map_err(TestCaseError::fail)?;
    check_at_rest(&rest, later)
}

/// The properties above are about something: enough of the cases get as far as a link.
#[test]
#[allow(clippy::print_stdout, reason = "the count is what this is for")]
fn at_least_a_tenth_of_the_cases_issue_a_link() {
    const CASES: usize = 2000;
    let mut runner = TestRunner::deterministic();
    let (mut first, mut further, mut approved, mut shortened) = (0, 0, 0, 0);
    for _ in 0..CASES {
        let (seen, now) = observed().new_tree(&mut runner).expect("a case").current();
        let plan = plan(&seen, now);
        let Some(issue) = link_to_issue(&plan) else {
            continue;
        };
        let recorded = seen.record.as_ref().map(|r| r.spec.decisions.as_slice());
        let decisions = recorded.unwrap_or(&issue.decisions);
        let is_shortened = decisions.iter().any(|d| d.max_duration.is_some());
        shortened += usize::from(is_shortened);
        match issue.first {
            true => {
                first += 1;
                approved += usize::from(!issue.decisions.is_empty());
            }
            false => further += 1,
        }
    }
    println!(
        "of {CASES} cases, {first} issue a first link, {approved} of them by approval, {further} a further one, and {shortened} of all these are of shortened loans"
    );
    assert!(first + further >= CASES / 10, "{first} + {further}");
    assert!(first >= CASES / 40, "{first} first links");
    assert!(further >= CASES / 40, "{further} further links");
    assert!(approved >= 5, "{approved} first links by approval");
    assert!(shortened >= 20, "{shortened} links of shortened loans");
}
