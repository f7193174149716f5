//! What the executor leaves behind: the same changes that it makes in the cluster, made to what was seen.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keyloan::api::{AccessRecord, AccessRecordSpec, LinkOutcome, LinkRecord, Time};
use keyloan::plan::delivery::failure::Undeleted;
use keyloan::plan::delivery::failure::{Attempt, Failure};
use keyloan::plan::delivery::links::{latest_end, whole_second};
use keyloan::plan::effect::{Effect, IssueLink, Plan};
use keyloan::plan::grant::plan;
use keyloan::plan::observed::{LinkSeen, Observed};
use keyloan::plan::record;
use keyloan::plan::terms::length;
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
        Effect::FinishLink {
            sequence,
            issued_at,
            expires_at,
            item_version,
        } => {
            let link = link_of(&mut seen, *sequence);
            link.issued_at = Some(issued_at.clone());
            link.expires_at = Some(expires_at.clone());
            link.item_version = Some(*item_version);
            link.outcome = Some(LinkOutcome::Issued);
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
        Effect::EndLoan {
            end,
            lost,
            residual_until,
            decision,
        } => {
            if let Some(sequence) = lost {
                link_of(&mut seen, *sequence).outcome = Some(LinkOutcome::Lost);
            }
            let record = record_of(&mut seen);
            record.end = Some(end.clone());
            record.residual_until = residual_until.clone();
            record.decisions.extend(decision.clone());
            seen
        }
        Effect::RecordDenial(record) => {
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

/// Issue a link, as far as the executor gets.
pub fn issue_link(
    issue: &IssueLink,
    mut seen: Observed,
    reached: Reached,
    now: Timestamp,
) -> Observed {
    let issued_at = whole_second(now);
    let expires_at = issued_at
        .saturating_add(length(issue.lifetime))
        .unwrap_or(Timestamp::MAX);
    if reached >= Reached::Intent {
        write_intent(issue, &mut seen, now);
    }
    if reached >= Reached::Secret {
        seen.link = LinkSeen::Present {
            sequence: issue.sequence,
            issued_at,
            item_version: 1,
        };
    }
    if reached == Reached::Closed {
        let link = link_of(&mut seen, issue.sequence);
        link.issued_at = Some(stored(issued_at));
        link.expires_at = Some(stored(expires_at));
        link.item_version = Some(1);
        link.outcome = Some(LinkOutcome::Issued);
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
    let (reached, outcome) = match failure {
        Failure::Unavailable => (Reached::Intent, Some(LinkOutcome::Lost)),
        Failure::Refused => (Reached::Intent, Some(LinkOutcome::Refused)),
        // It is found open, and lost, in the next pass.
        Failure::NotKept(_) => (Reached::Intent, None),
        Failure::NoPlace { .. } | Failure::NoRecord { .. } => (Reached::Place, None),
        _ => (Reached::Reads, None),
    };
    let mut seen = issue_link(issue, seen, reached, now);
    if outcome.is_some() {
        link_of(&mut seen, issue.sequence).outcome = outcome;
    }
    seen.attempt = Some(Attempt {
        at: now,
        failure,
        count: count.saturating_add(1),
    });
    seen
}

fn write_intent(issue: &IssueLink, seen: &mut Observed, now: Timestamp) {
    let intent = LinkRecord {
        sequence: issue.sequence,
        intent_at: stored(now),
        attempt: None,
        latest_end: stored(latest_end(now, issue.lifetime, SignedDuration::ZERO)),
        issued_at: None,
        expires_at: None,
        item_version: None,
        outcome: None,
    };
    if issue.first {
        assert!(seen.record.is_none(), "a record is created once");
        let agreement = issue.agreement.clone();
        seen.record = Some(Arc::new(AccessRecord {
            metadata: ObjectMeta {
                name: Some(agreement.grant.uid.clone()),
                namespace: Some(agreement.terms.integration.namespace.clone()),
                creation_timestamp: Some(stored(now)),
                ..ObjectMeta::default()
            },
            spec: AccessRecordSpec {
                install: Some("keyloan".into()),
                links: vec![intent],
                ..record::of_loan(seen.grant.as_deref(), &agreement, issue.decisions.clone())
            },
        }));
        return;
    }
    if let Some(lost) = issue.lost {
        link_of(seen, lost).outcome = Some(LinkOutcome::Lost);
    }
    let links = &mut record_of(seen).links;
    assert!(
        links.iter().all(|l| l.sequence != issue.sequence),
        "each link has a sequence of its own"
    );
    links.push(intent);
}

/// The API server keeps whole seconds.
fn stored(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).expect("in range"))
}

fn record_of(seen: &mut Observed) -> &mut AccessRecordSpec {
    &mut Arc::make_mut(seen.record.as_mut().expect("a record")).spec
}

/// The open intent of this sequence.
fn link_of(seen: &mut Observed, sequence: u32) -> &mut LinkRecord {
    let mut links = record_of(seen).links.iter_mut().rev();
    links
        .find(|l| l.sequence == sequence && l.outcome.is_none())
        .expect("an open intent of that sequence")
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
