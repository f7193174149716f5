//! What the executor leaves behind: the same changes that it makes in the cluster, made to what was seen.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keyloan::api::{AccessFlow, AccessRecord, AccessRecordSpec, LinkRecord, Time};
use keyloan::plan::delivery::closing::Closing;
use keyloan::plan::delivery::failure::{Attempt, Failure, Undeleted};
use keyloan::plan::delivery::steps::{
    Held, Inspected, IssueLink, NotObtained, Step, WriteIntent, Written,
};
use keyloan::plan::effect::{Effect, Plan};
use keyloan::plan::grant::plan;
use keyloan::plan::inventory::{ItemSeen, Lookup};
use keyloan::plan::observed::{LinkSeen, Observed};
use kube::api::ObjectMeta;

/// How many steps a plan may take to come to rest.
pub const MOST_STEPS: usize = 6;

/// The steps of [`Effect::IssueLink`] after which the executor can be interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Nothing is written yet: the reads come first.
    Reads,
    /// Role and RoleBinding are there, which the plan does not look at, and the Secret has been tried.
    Place,
    /// The intent is in the record. Whether 1Password has made a link, nobody knows.
    Intent,
    /// The Secret is written.
    Secret,
    /// The intent is closed.
    Closed,
}

/// What is there after the plan's effect, or its status if it has no effect, has been written.
pub fn apply(plan: &Plan, seen: Observed, now: Timestamp) -> Observed {
    match &plan.effect {
        Some(effect) => perform(effect, seen, now),
        None => project(plan, seen),
    }
}

fn project(plan: &Plan, mut seen: Observed) -> Observed {
    if let (Some(grant), Some(status)) = (&mut seen.grant, &plan.status) {
        Arc::make_mut(grant).status = Some(status.clone());
    }
    seen
}

fn perform(effect: &Effect, mut seen: Observed, now: Timestamp) -> Observed {
    match effect {
        Effect::ListVault { vault, looking_for } => {
            let integration = seen.integration.as_mut().expect("an integration to list");
            let inventory = integration.inventory.as_mut().expect("an inventory");
            let vaults = &mut Arc::make_mut(inventory).vaults;
            for listed in vaults.iter_mut().filter(|v| v.id == *vault) {
                let items = listed.items.clone();
                listed.relist(items, std::slice::from_ref(looking_for), now);
            }
            seen.attempt = None;
            seen
        }
        Effect::IssueLink(issue) => issue_link(issue, seen, Reached::Closed, now),
        Effect::FinishLink(closing) => {
            close(closing, &mut seen);
            seen
        }
        Effect::CheckBoundary => {
            let grant = seen.grant.as_ref().map(|g| &g.metadata);
            let decisions = seen.decisions.iter().map(|d| &d.metadata);
            let uids = grant
                .into_iter()
                .chain(decisions)
                .filter_map(|m| m.uid.clone());
            seen.checked.extend(uids.collect::<Vec<_>>());
            seen
        }
        Effect::DeleteLink => {
            seen.link = LinkSeen::Absent;
            seen.undeleted = None;
            seen
        }
        Effect::EndLoan(end) => {
            let record = record_of(&mut seen);
            *record = end.applied(record);
            seen
        }
        Effect::RecordUnlent(record) => {
            assert!(seen.record.is_none(), "a record is created once");
            seen.record = Some(Arc::new(AccessRecord {
                metadata: ObjectMeta {
                    name: Some(record.grant.uid.clone()),
                    namespace: Some(record.terms.integration.namespace.clone()),
                    creation_timestamp: Some(stored(now)),
                    ..ObjectMeta::default()
                },
                spec: (**record).clone(),
            }));
            seen
        }
        Effect::DeleteGrant => {
            // What carries its link stays: no owner reference reaches another namespace.
            seen.grant = None;
            seen
        }
        Effect::DeleteRecord => {
            seen.record = None;
            seen
        }
    }
}

/// Try to delete the Secret of a link, in vain.
pub fn fail_to_delete(mut seen: Observed, now: Timestamp) -> Observed {
    let count = seen.undeleted.as_ref().map_or(0, |u| u.count);
    seen.undeleted = Some(Undeleted {
        at: now,
        why: "the API server forbids it: 403 Forbidden".into(),
        is_passing: false,
        count: count.saturating_add(1),
    });
    seen
}

/// What the steps hold: nothing, because what they change is in what was seen.
enum InHand {}

impl Held for InHand {
    type Item = ();
    type Place = ();
    type Record = ();
    type Link = ();
}

/// Issue a link, as far as the executor gets.
pub fn issue_link(issue: &IssueLink, seen: Observed, reached: Reached, now: Timestamp) -> Observed {
    let (mut seen, result) = perform_steps(issue, seen, reached, None, now);
    if result == Some(Ok(())) {
        seen.attempt = None;
    }
    seen
}

/// Issue a link, and fail as said.
pub fn fail_to_issue(
    issue: &IssueLink,
    seen: Observed,
    failure: Failure,
    now: Timestamp,
) -> Observed {
    let count = seen.attempt.as_ref().map_or(0, |a| a.count);
    let (mut seen, result) = perform_steps(issue, seen, Reached::Closed, Some(failure), now);
    let failure = result.and_then(Result::err).expect("it failed");
    seen.attempt = Some(Attempt {
        at: now,
        failure,
        count: count.saturating_add(1),
    });
    seen
}

/// The step at which an attempt fails in this way.
fn fails_at(failure: &Failure) -> &'static str {
    match failure {
        Failure::Unavailable | Failure::Refused | Failure::NotShareable(_) => "Obtain",
        Failure::NotKept(_) => "HandOver",
        Failure::NoPlace { .. } => "MakePlace",
        Failure::NoRecord { .. } => "WriteIntent",
        _ => "Inspect",
    }
}

/// The same steps that the controller performs; the result is there once no step remains.
fn perform_steps(
    issue: &IssueLink,
    mut seen: Observed,
    reached: Reached,
    failure: Option<Failure>,
    now: Timestamp,
) -> (Observed, Option<Result<(), Failure>>) {
    let mut step = Step::<InHand>::first(issue.clone());
    loop {
        let fails = failure.clone().filter(|f| fails_at(f) == step.name());
        step = match step {
            Step::Inspect(step) => {
                let inspected = fails.map_or_else(|| Ok(inspect(&step.issue, &seen)), Err);
                let flow = &step.issue.agreement.terms.flow.uid;
                let mut flows = seen.flows.iter();
                let uid = |f: &AccessFlow| f.metadata.uid.clone().unwrap_or_default();
                let flow = flows.find(|f| uid(f) == *flow);
                step.inspected(inspected, flow.map(AsRef::as_ref))
            }
            Step::MakePlace(step) if reached >= Reached::Place => {
                step.placed(fails.map_or(Ok(()), Err))
            }
            Step::WriteIntent(step) if reached >= Reached::Intent => {
                let written = match fails {
                    Some(failure) => Written::No(failure),
                    None => {
                        write_intent(&step, &mut seen, now);
                        Written::Yes {
                            record: (),
                            intent_at: stored(now).0,
                        }
                    }
                };
                step.written(written, now)
            }
            Step::Obtain(step) => {
                let answer = fails.map_or(Ok(()), |failure| {
                    Err(NotObtained {
                        may_exist: failure == Failure::Unavailable,
                        failure,
                    })
                });
                step.obtained(answer, now)
            }
            Step::LookAgain(step) => step.looked(false),
            Step::HandOver(step) if reached >= Reached::Secret => {
                if fails.is_none() {
                    seen.link = LinkSeen::Present {
                        sequence: step.facts.sequence,
                        issued_at: step.facts.issued_at,
                        item_version: step.facts.item_version,
                    };
                }
                step.handed_over(fails.map_or(Ok(()), Err))
            }
            Step::Close(step) if reached == Reached::Closed => {
                close(step.closing(), &mut seen);
                step.closed()
            }
            Step::Done(result) => return (seen, Some(result)),
            Step::MakePlace(_) | Step::WriteIntent(_) | Step::HandOver(_) | Step::Close(_) => {
                return (seen, None);
            }
        };
    }
}

/// The item as 1Password has it: as it was agreed.
fn inspect(issue: &IssueLink, seen: &Observed) -> Inspected<()> {
    let terms = &issue.agreement.terms;
    let inventory = seen.integration.as_ref().and_then(|i| i.inventory.as_ref());
    let vault = match inventory.map(|inventory| inventory.vault(&terms.vault.id)) {
        Some(Lookup::One(vault)) => Some(vault),
        _ => None,
    };
    let item = match vault.map(|vault| vault.item(&terms.item.id)) {
        Some(Lookup::One(item)) => item.clone(),
        _ => ItemSeen {
            id: terms.item.id.clone(),
            title: terms.item.title.clone(),
            tags: Vec::new(),
            updated_at: terms.item_updated_at.0,
            active: true,
        },
    };
    Inspected {
        held: (),
        item,
        version: issue.item_version.unwrap_or(1),
        opens_for: SignedDuration::MAX,
        clock_ahead: SignedDuration::ZERO,
    }
}

fn write_intent(step: &WriteIntent<InHand>, seen: &mut Observed, now: Timestamp) {
    let issue = &step.link.issue;
    let now = stored(now).0;
    if issue.first {
        assert!(seen.record.is_none(), "a record is created once");
        let agreement = &issue.agreement;
        seen.record = Some(Arc::new(AccessRecord {
            metadata: ObjectMeta {
                name: Some(agreement.grant.uid.clone()),
                namespace: Some(agreement.terms.integration.namespace.clone()),
                creation_timestamp: Some(stored(now)),
                ..ObjectMeta::default()
            },
            spec: AccessRecordSpec {
                install: Some("keyloan".into()),
                ..step.applied(None, seen.grant.as_deref(), None, now)
            },
        }));
        return;
    }
    let record = record_of(seen);
    if let Some(lost) = issue.lost {
        let is_open = |l: &LinkRecord| l.sequence == lost && l.outcome.is_none();
        assert!(
            record.links.iter().any(is_open),
            "only an open intent is lost"
        );
    }
    let is_new = record.links.iter().all(|l| l.sequence != issue.sequence);
    assert!(is_new, "each link has a sequence of its own");
    *record = step.applied(Some(record), None, None, now);
}

fn close(closing: &Closing, seen: &mut Observed) {
    let record = record_of(seen);
    let is_open = |l: &LinkRecord| l.sequence == closing.sequence && l.outcome.is_none();
    assert!(
        record.links.iter().any(is_open),
        "only an open intent is closed"
    );
    *record = closing.applied(record);
}

/// The API server keeps whole seconds.
fn stored(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).expect("in range"))
}

fn record_of(seen: &mut Observed) -> &mut AccessRecordSpec {
    &mut Arc::make_mut(seen.record.as_mut().expect("a record")).spec
}

/// Plan and apply until nothing changes any more, at one and the same time; the error is what it goes on doing.
pub fn settle(mut seen: Observed, now: Timestamp) -> Result<Observed, String> {
    let mut done = Vec::new();
    for _ in 0..=MOST_STEPS {
        let plan = plan(&seen, now);
        let unchanged = seen
            .grant
            .as_ref()
            .is_none_or(|g| plan.status.is_none() || g.status == plan.status);
        if plan.effect.is_none() && unchanged {
            return Ok(seen);
        }
        done.push(format!("{:?}", plan.effect));
        seen = apply(&plan, seen, now);
    }
    Err(done.join("\n"))
}
