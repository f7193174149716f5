//! Weighing the decisions on a request: which of them count, and what they come to.

use std::sync::Arc;

use jiff::Timestamp;

use crate::api::{AccessDecision, CountedDecision, Decision, IgnoredDecision};
use crate::plan::case::Request;
use crate::plan::observed::Observed;
use crate::plan::people::same_person;
use crate::plan::terms::Agreement;

use super::approvers::Approvers;
use super::ignored::the_newest;
use super::tally::{Approval, Tally};
use super::vote::{Vote, approvers, ignored_decision, in_order};

/// Nothing verifies the maker of the decision.
const TOO_OLD: &str = "the decision was made before the last change of the admission policies, \
                       which verify who made it; decide again";

/// The result of the decisions on a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// The state of the approval.
    pub standing: Standing,
    /// The decisions that counted.
    pub counted: Vec<CountedDecision>,
    /// The decisions that did not count, each with the reason.
    pub ignored: Vec<IgnoredDecision>,
}

/// The state of a request's approval.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// All required approvals have been given, the last one at this time.
    Approved {
        /// The time of the last approval.
        at: Timestamp,
    },
    /// Approvals are missing.
    Waiting {
        /// The missing approvals and the people who can give them.
        sentence: String,
        /// The time at which other people may approve, or nobody any longer.
        until: Timestamp,
    },
    /// A person denied or withdrew the request.
    Denied(CountedDecision),
    /// There are approvals whose makers are not verified: the boundary has to be checked first.
    Unverified,
}

/// Weighs the decisions on a request whose terms require approval.
pub fn weigh(request: &Request<'_>, agreement: &Agreement) -> Weighed {
    weigh_these(request, agreement, |_| true)
}

/// Weighs only the approvals: what the decisions come to without any denial.
pub fn weigh_approvals(request: &Request<'_>, agreement: &Agreement) -> Weighed {
    weigh_these(request, agreement, |object| {
        object.spec.decision == Decision::Approve
    })
}

fn weigh_these(
    request: &Request<'_>,
    agreement: &Agreement,
    is_weighed: impl Fn(&AccessDecision) -> bool,
) -> Weighed {
    let approvers = approvers(request, agreement);
    let mut approvals: Vec<Approval> = Vec::new();
    let mut ignored = Vec::new();
    let mut unverified = false;
    let decisions = in_order(request.seen).into_iter();
    for object in decisions.filter(|object| is_weighed(object)) {
        match judge(object, request, agreement, &approvers, &approvals) {
            Ok(Say::Yes(approval)) => approvals.push(approval),
            Ok(Say::Unverified) => unverified = true,
            Ok(Say::No(decision)) => {
                let (mut counted, surplus) = Tally::of(&approvers, approvals).told();
                counted.push(decision.clone());
                ignored.extend(surplus);
                return Weighed {
                    standing: Standing::Denied(decision),
                    counted,
                    ignored: the_newest(ignored),
                };
            }
            Err(why) => ignored.push(ignored_decision(object, why)),
        }
    }
    let tally = Tally::of(&approvers, approvals);
    let standing = match tally.complete_since() {
        Some(at) => Standing::Approved { at },
        None if unverified => Standing::Unverified,
        None => Standing::Waiting {
            sentence: tally.waiting(),
            until: approvers.until(),
        },
    };
    let (counted, surplus) = tally.told();
    ignored.extend(surplus);
    Weighed {
        standing,
        counted,
        ignored: the_newest(ignored),
    }
}

/// The content of a valid decision.
enum Say {
    Yes(Approval),
    No(CountedDecision),
    /// An approval whose maker is not verified yet.
    Unverified,
}

/// The content of a decision after these approvals, or the reason why it does not count.
fn judge(
    object: &AccessDecision,
    request: &Request<'_>,
    agreement: &Agreement,
    approvers: &Approvers<'_>,
    approvals: &[Approval],
) -> Result<Say, &'static str> {
    let vote = Vote::on(request, object)?;
    vote.in_time(approvers)?;
    if object.spec.decision != Decision::Approve {
        return vote.says_no(approvers).map(|()| Say::No(vote.counted()));
    }
    if approvals.iter().any(|a| same_person(&a.by, vote.by)) {
        return Err("this person has already approved; each person counts once");
    }
    let groups = vote.approves(agreement, approvers)?;
    if !is_verified(object, request.seen) {
        let changed_at = request.seen.boundary.changed_at;
        return match changed_at.is_some_and(|changed| vote.at <= changed) {
            true => Err(TOO_OLD),
            false => Ok(Say::Unverified),
        };
    }
    Ok(Say::Yes(Approval {
        name: object.metadata.name.clone().unwrap_or_default(),
        by: vote.by.clone(),
        counted: vote.counted(),
        groups,
    }))
}

/// Whether the API server has verified who made the decision.
fn is_verified(object: &AccessDecision, seen: &Observed) -> bool {
    let uid = object.metadata.uid.as_ref();
    uid.is_some_and(|uid| seen.checked.contains(uid))
}

/// The Revoke, or the Deny before the first link, that ends a running loan, if there is one.
pub fn revocation(
    decisions: &[Arc<AccessDecision>],
    agreement: &Agreement,
    started_at: Option<Timestamp>,
) -> Option<CountedDecision> {
    let approvers = Approvers::of(&agreement.terms, Some(&agreement.requester), &[]);
    let mut votes: Vec<_> = decisions
        .iter()
        .filter(|object| object.spec.grant_uid == agreement.grant.uid)
        .filter_map(|object| Vote::of(object))
        .filter(|vote| match vote.object.spec.decision {
            Decision::Revoke => true,
            // A decision made while the first link was being issued counts as made before it.
            Decision::Deny => started_at.is_none_or(|started| vote.at <= started),
            Decision::Approve => false,
        })
        .filter(|vote| vote.says_no(&approvers).is_ok())
        .collect();
    votes.sort_by_key(|vote| vote.at);
    votes.first().map(Vote::counted)
}

/// The Revoke by the requester or a holder of the verb. It needs no terms, so it can withdraw even
/// a request that cannot be resolved.
pub fn withdrawal(request: &Request<'_>) -> Option<CountedDecision> {
    let requester = request.requester();
    let votes = in_order(request.seen)
        .into_iter()
        .filter(|object| object.spec.grant_uid == request.uid)
        .filter_map(Vote::of)
        .filter(|vote| vote.object.spec.decision == Decision::Revoke);
    let entitled = |vote: &Vote<'_>| {
        vote.object.spec.may_revoke == Some(true)
            || requester.is_some_and(|requester| same_person(requester, vote.by))
    };
    votes.into_iter().find(entitled).map(|vote| vote.counted())
}
