//! Whole lives of loans, in which anything may happen at any time: what holds all the way.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keyloan::api::*;
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::delivery::steps::IssueLink;
use keyloan::plan::effect::Effect;
use keyloan::plan::grant::plan;
use keyloan::plan::observed::{LinkSeen, Observed};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::arbitrary::failure;
use super::executor::{MOST_STEPS, Reached, apply, fail_to_delete, fail_to_issue, issue_link};
use super::properties::{agreed_for, cases};
use super::world::*;

/// What can happen between two looks at a loan.
#[derive(Clone, Debug)]
enum Event {
    Nothing,
    /// The borrower asks for the next link.
    Asks,
    /// Somebody deletes the Secret.
    SecretDeleted,
    /// The executor is interrupted in the next link.
    Interrupted(Reached),
    /// The next link fails.
    Fails(Failure),
    /// The next deletion of the Secret fails.
    Undeletable,
    /// The operator restarts, and has forgotten how the last attempt failed.
    Restarted,
    Suspended(bool),
    FlowSuspended,
    FlowDeleted,
    ItemEdited,
    Blocked,
    GrantDeleted,
}

fn event() -> impl Strategy<Value = Event> {
    let reached = vec![
        Reached::Reads,
        Reached::Place,
        Reached::Intent,
        Reached::Secret,
        Reached::Closed,
    ];
    prop_oneof![
        6 => Just(Event::Asks),
        3 => Just(Event::Nothing),
        3 => Just(Event::SecretDeleted),
        4 => select(reached).prop_map(Event::Interrupted),
        4 => failure().prop_map(Event::Fails),
        2 => Just(Event::Undeletable),
        2 => Just(Event::Restarted),
        1 => any::<bool>().prop_map(Event::Suspended),
        1 => prop_oneof![Just(Event::ItemEdited), Just(Event::Blocked), Just(Event::GrantDeleted)],
        1 => prop_oneof![Just(Event::FlowSuspended), Just(Event::FlowDeleted)],
    ]
}

/// How long nothing happens: mostly minutes, now and then a moment.
fn millis() -> impl Strategy<Value = i64> {
    prop_oneof![3 => (1i64..400).prop_map(|minutes| 60_000 * minutes), 1 => 1i64..90_000]
}

/// A loan on its way, and what 1Password knows of it.
struct Life {
    world: World,
    now: Timestamp,
    /// Until when each link opens that 1Password may have made.
    links: Vec<Timestamp>,
    asked: usize,
    trouble: Event,
    /// When the flow was suspended: for good.
    suspended_at: Option<Timestamp>,
}

impl Life {
    /// A loan for 30 hours, or for less if it needs an approval that has shortened it.
    fn begin(shortened_to: Option<&str>) -> Self {
        let world = World::asked().with(|w| {
            w.grant().spec.duration = Some(span("30h"));
            w.flow().spec.grant.max_duration = span("2d");
            w.flow().spec.grant.link_lifetime = LinkLifetime::OneDay;
        });
        Self {
            world: world.approved_for(shortened_to),
            now: at(0),
            links: vec![],
            asked: 0,
            trouble: Event::Nothing,
            suspended_at: None,
        }
    }

    fn happens(&mut self, event: Event) {
        let world = &mut self.world;
        let now = self.now;
        match event {
            Event::Nothing => {}
            Event::Asks if world.seen.grant.is_some() => {
                world.asks_at(now);
                self.asked += 1;
            }
            Event::Asks => {}
            Event::SecretDeleted => world.seen.link = LinkSeen::Absent,
            Event::Restarted => {
                world.seen.attempt = None;
                world.seen.undeleted = None;
            }
            Event::Suspended(suspend) => world.integration().spec.suspend = suspend,
            Event::FlowSuspended => world.seen.flows.iter_mut().for_each(|flow| {
                Arc::make_mut(flow).spec.suspend = true;
                self.suspended_at.get_or_insert(now);
            }),
            Event::FlowDeleted => world.seen.flows.clear(),
            Event::ItemEdited => world.infra().items[0].updated_at = now,
            Event::Blocked => world.block_alice(),
            Event::GrantDeleted => world.seen.grant = None,
            trouble @ (Event::Interrupted(_) | Event::Fails(_) | Event::Undeletable) => {
                self.trouble = trouble;
            }
        }
    }

    /// Plan and carry out until nothing is left to do, with at most one trouble on the way.
    fn passes(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..=2 * MOST_STEPS {
            let now = self.now;
            let plan = plan(&self.world.seen, now);
            let seen = self.world.seen.clone();
            let status = seen.grant.as_ref().and_then(|g| g.status.clone());
            self.world.seen = match &plan.effect {
                Some(Effect::IssueLink(issue)) => self.issue(issue),
                Some(Effect::DeleteLink) if matches!(self.trouble, Event::Undeletable) => {
                    self.trouble = Event::Nothing;
                    fail_to_delete(seen, now)
                }
                None if plan.status.is_none() || plan.status == status => return Ok(()),
                _ => apply(&plan, seen, now),
            };
            self.check()?;
        }
        Err(TestCaseError::fail("it does not settle"))
    }

    fn issue(&mut self, issue: &IssueLink) -> Observed {
        let (seen, now) = (self.world.seen.clone(), self.now);
        let trouble = match self.trouble {
            // Not for this, but for the end.
            Event::Undeletable => Event::Nothing,
            _ => std::mem::replace(&mut self.trouble, Event::Nothing),
        };
        let asks_1password = match &trouble {
            Event::Interrupted(reached) => *reached > Reached::Place,
            Event::Fails(failure) => matches!(failure, Failure::Unavailable | Failure::NotKept(_)),
            _ => true,
        };
        if asks_1password {
            self.links.push(now + issue.opens_for);
        }
        match trouble {
            Event::Interrupted(reached) => issue_link(issue, seen, reached, now),
            Event::Fails(failure) => fail_to_issue(issue, seen, failure, now),
            _ => issue_link(issue, seen, Reached::Closed, now),
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let Some(record) = &self.world.seen.record else {
            return Ok(());
        };
        let links = &record.spec.links;
        prop_assert!(links.is_sorted_by(|a, b| a.sequence < b.sequence));
        prop_assert!(
            links
                .windows(2)
                .filter(|pair| pair[0].outcome == Some(LinkOutcome::Issued))
                .all(
                    |pair| pair[1].intent_at.0.duration_since(pair[0].intent_at.0)
                        >= SignedDuration::from_mins(1)
                ),
            "a link right after another one"
        );
        let since = self.suspended_at.unwrap_or(Timestamp::MAX);
        prop_assert!(
            links.iter().all(|l| l.intent_at.0 <= since),
            "a link by a suspended flow"
        );
        let issued = || {
            links
                .iter()
                .filter(|l| l.outcome == Some(LinkOutcome::Issued))
        };
        prop_assert!(
            issued().count() <= 1 + self.asked,
            "a link that nobody asked for"
        );
        if let Some(start) = issued().next().and_then(|l| l.issued_at.as_ref()) {
            let end = start.0 + agreed_for(&record.spec.terms, &record.spec.decisions);
            prop_assert!(issued().all(|l| l.expires_at.as_ref().is_some_and(|t| t.0 <= end)));
            prop_assert!(self.links.iter().all(|opens_until| *opens_until <= end));
        }
        if record.spec.end.is_some() {
            let gone = !matches!(self.world.seen.link, LinkSeen::Present { .. });
            let stays = self.world.seen.undeleted.is_some();
            prop_assert!(
                gone || stays,
                "an ended loan has no link that could be deleted"
            );
            // The record never says that nothing opens while something may.
            let ended = record.spec.end.as_ref().map(|e| e.at.0);
            let residual = record.spec.residual_until.as_ref().map(|t| t.0);
            let open = self.links.iter().filter(|t| Some(**t) > ended);
            prop_assert!(open.max() <= residual.as_ref(), "{:?}", self.links);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn no_life_of_a_loan_breaks_a_promise(
        shortened_to in option::of(select(vec!["1h", "3h", "25h"])),
        events in vec((millis(), event()), 0..25),
    ) {
        let mut life = Life::begin(shortened_to);
        life.passes()?;
        for (millis, event) in events {
            life.now += SignedDuration::from_millis(millis);
            life.happens(event);
            life.passes()?;
        }
        // In the end nothing is left: the loan's time comes, its grant is tidied away, and the record after it.
        for days in [3, 8, 100] {
            life.now += SignedDuration::from_hours(24 * days);
            life.passes()?;
        }
        let seen = &life.world.seen;
        prop_assert!(seen.grant.is_none() && seen.record.is_none(), "{seen:?}");
        prop_assert_eq!(&seen.link, &LinkSeen::Absent);
    }

    /// However often it is woken at the times it asks for, and without anything else, a loan comes to its end.
    #[test]
    fn a_loan_lives_by_its_own_wakes(duration in select(vec!["1h", "4h", "30h"]), once: bool) {
        let world = World::lent_with(|w| {
            w.grant().spec.duration = Some(span(duration));
            w.grant().spec.view_once = Some(once);
            w.flow().spec.grant.max_duration = span("2d");
        });
        let mut life = Life { world, ..Life::begin(None) };
        for _ in 0..20 {
            life.passes()?;
            let Some(wake) = plan(&life.world.seen, life.now).wake else { break };
            prop_assert!(wake > life.now);
            life.now = wake;
        }
        let seen = &life.world.seen;
        prop_assert!(seen.grant.is_none() && seen.record.is_none());
    }
}

#[test]
fn a_loan_that_is_left_alone_needs_few_writes() {
    let mut world = World::asked();
    let mut effects = vec![];
    for _ in 0..MOST_STEPS {
        let plan = world.plan_at(0);
        effects.extend(plan.effect.clone());
        world.seen = apply(&plan, world.seen, at(0));
    }
    assert!(matches!(effects[..], [Effect::IssueLink(_)]), "{effects:?}");
    let record = Arc::unwrap_or_clone(world.seen.record.expect("a record"));
    assert_eq!(record.spec.links.len(), 1);
}
