//! Weighing the decisions on a request: which of them count, and what they come to.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::api::{
    AccessDecision, AgreedApproval, CountedDecision, Decision, Identity, IgnoredDecision, Person,
    Requirement, Time,
};
use crate::plan::case::Request;
use crate::plan::observed::Observed;
use crate::plan::people::same_person;
use crate::plan::selection::is_one_of;
use crate::plan::terms::Agreement;

use super::people::{Parties, decides, is_person, may_end};
use super::tally::{Approval, Tally};
use super::waiting;

/// Nothing verifies the maker of the decision.
const TOO_OLD: &str = "the decision was made before the last change of the admission policies, \
                       which verify who made it; decide again";

/// The decision came when it could no longer change anything.
pub(super) const TOO_LATE: &str = "the decision came too late";

/// The request ended for another reason than this decision.
pub(super) const OVER: &str = "the request ended before the decision could take effect";

/// The number of ignored decisions that a status shows.
pub(in crate::plan) const SHOWN: usize = 20;

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
    /// Approvals are missing; the sentence names them.
    Waiting(String),
    /// A person denied or withdrew the request.
    Denied(CountedDecision),
    /// There are approvals whose makers are not verified: the boundary has to be checked first.
    Unverified,
}

/// One decision, with its maker as far as that is known.
pub(super) struct Vote<'a> {
    object: &'a AccessDecision,
    by: &'a Identity,
    at: Timestamp,
}

impl<'a> Vote<'a> {
    fn of(object: &'a AccessDecision) -> Option<Self> {
        let spec = &object.spec;
        // Admission has verified the verb for every holder, including `system:admin`.
        let holds_verb = spec.decision == Decision::Revoke && spec.may_revoke == Some(true);
        let by = spec.approver.as_ref();
        let by = by.filter(|by| holds_verb || is_person(by))?;
        let at = object.metadata.creation_timestamp.as_ref()?.0;
        Some(Self { object, by, at })
    }

    pub(super) fn counted(&self) -> CountedDecision {
        CountedDecision {
            uid: self.object.metadata.uid.clone(),
            name: self.object.metadata.name.clone(),
            user: self.by.username.clone(),
            decision: self.object.spec.decision,
            group: None,
            at: Time(self.at),
            reason: self.object.spec.reason.clone(),
            max_duration: self.object.spec.max_duration.clone(),
        }
    }
}

/// Weighs the decisions on a request whose terms require approval.
pub fn weigh(request: &Request<'_>, agreement: &Agreement, approval: &AgreedApproval) -> Weighed {
    weigh_these(request, agreement, approval, |_| true)
}

/// Weighs only the approvals: what the decisions come to without any denial.
pub fn weigh_approvals(
    request: &Request<'_>,
    agreement: &Agreement,
    approval: &AgreedApproval,
) -> Weighed {
    weigh_these(request, agreement, approval, |object| {
        object.spec.decision == Decision::Approve
    })
}

fn weigh_these(
    request: &Request<'_>,
    agreement: &Agreement,
    approval: &AgreedApproval,
    is_weighed: impl Fn(&AccessDecision) -> bool,
) -> Weighed {
    let seen = request.seen;
    let until = request.approval_deadline(approval);
    let mut approvals: Vec<Approval> = Vec::new();
    let mut ignored = Vec::new();
    let mut unverified = false;
    let decisions = in_order(seen).into_iter();
    for object in decisions.filter(|object| is_weighed(object)) {
        let judged = heard(object, request, until).and_then(|vote| {
            if object.spec.decision != Decision::Approve {
                return says_no(&vote, agreement).map(|()| Say::No(vote.counted()));
            }
            if approvals.iter().any(|a| same_person(&a.by, vote.by)) {
                return Err("this person has already approved; each person counts once");
            }
            let groups = may_approve(&vote, agreement, approval, seen.blocked())?;
            if !object
                .metadata
                .uid
                .as_ref()
                .is_some_and(|uid| seen.checked.contains(uid))
            {
                let changed_at = seen.boundary.changed_at;
                return match changed_at.is_some_and(|changed| vote.at <= changed) {
                    true => Err(TOO_OLD),
                    false => Ok(Say::Unverified),
                };
            }
            Ok(Say::Yes(Approval {
                name: name_of(object),
                by: vote.by.clone(),
                counted: vote.counted(),
                groups,
            }))
        });
        match judged {
            Ok(Say::Yes(approval)) => approvals.push(approval),
            Ok(Say::Unverified) => unverified = true,
            Ok(Say::No(decision)) => {
                let tally = Tally::of(approval, &approvals);
                let (mut counted, surplus) = tally.told(approval, approvals);
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
    let tally = Tally::of(approval, &approvals);
    let standing = match tally.complete_since(&approvals) {
        Some(at) => Standing::Approved { at },
        None if unverified => Standing::Unverified,
        None => {
            let parties = parties(agreement, seen.blocked());
            let left = |group| tally.left(group, parties, approval, &approvals);
            let sentence = waiting::sentence(approval, &tally.missing, left, until);
            Standing::Waiting(sentence)
        }
    };
    let (counted, surplus) = tally.told(approval, approvals);
    ignored.extend(surplus);
    Weighed {
        standing,
        counted,
        ignored: the_newest(ignored),
    }
}

/// Limits the list to the number that a status shows, newest first, because people look for their
/// latest decisions. Each person's newest decision precedes everyone's second newest, so that
/// nobody can push another person's decision out of the list.
pub(super) fn the_newest(ignored: Vec<IgnoredDecision>) -> Vec<IgnoredDecision> {
    let mut newer_of_them: HashMap<String, usize> = HashMap::new();
    let mut ranked: Vec<_> = ignored
        .into_iter()
        .rev()
        .enumerate()
        .map(|(age, decision)| {
            let newer = newer_of_them.entry(decision.user.clone()).or_default();
            *newer += 1;
            (*newer, age, decision)
        })
        .collect();
    ranked.sort_by_key(|(newer, age, _)| (*newer, *age));
    ranked.truncate(SHOWN);
    // The list is in the order of the decisions' creation.
    ranked.sort_by_key(|(_, age, _)| std::cmp::Reverse(*age));
    ranked.into_iter().map(|(.., decision)| decision).collect()
}

/// The content of a valid decision.
enum Say {
    Yes(Approval),
    No(CountedDecision),
    /// An approval whose maker is not verified yet.
    Unverified,
}

/// The Revoke, or the Deny before the first link, that ends a running loan, if there is one.
pub fn revocation(
    decisions: &[std::sync::Arc<AccessDecision>],
    agreement: &Agreement,
    started_at: Option<Timestamp>,
) -> Option<CountedDecision> {
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
        .filter(|vote| says_no(vote, agreement).is_ok())
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

pub(super) fn ignored_decision(object: &AccessDecision, reason: &str) -> IgnoredDecision {
    let by = object.spec.approver.as_ref();
    IgnoredDecision {
        name: name_of(object),
        user: by.map_or_else(String::new, |by| by.username.clone()),
        reason: reason.to_owned(),
    }
}

fn name_of(object: &AccessDecision) -> String {
    object.metadata.name.clone().unwrap_or_default()
}

/// The decisions in the order of their creation.
pub(super) fn in_order(seen: &Observed) -> Vec<&AccessDecision> {
    let mut objects: Vec<_> = seen.decisions.iter().map(AsRef::as_ref).collect();
    objects.sort_by_key(|object: &&AccessDecision| {
        let meta = &object.metadata;
        let at = meta.creation_timestamp.as_ref().map(|t| t.0);
        (at, meta.name.clone(), meta.uid.clone())
    });
    objects
}

/// Whether a decision is about this request, by a person, and in time.
pub(super) fn heard<'a>(
    object: &'a AccessDecision,
    request: &Request<'_>,
    until: Timestamp,
) -> Result<Vote<'a>, &'static str> {
    if object.spec.grant_uid != request.uid {
        return Err("the decision is about another request of this name: its grantUid differs");
    }
    let vote = Vote::of(object)
        .ok_or("the decision does not identify a person; ServiceAccounts cannot decide")?;
    // A Deny counts until the loan starts.
    if object.spec.decision == Decision::Approve && vote.at >= until {
        return Err(TOO_LATE);
    }
    Ok(vote)
}

/// Whether the maker of a Deny or a Revoke is entitled to it.
pub(super) fn says_no(vote: &Vote<'_>, agreement: &Agreement) -> Result<(), &'static str> {
    let spec = &vote.object.spec;
    let entitled = match spec.decision {
        Decision::Deny => decides(vote.by, &agreement.terms),
        _ => {
            spec.may_revoke == Some(true)
                || may_end(vote.by, &agreement.requester, &agreement.terms)
        }
    };
    match (entitled, spec.decision) {
        (true, _) => Ok(()),
        (false, Decision::Deny) => Err("only an approver of the request or an owner can deny it"),
        (false, _) => Err(
            "only the requester, an approver, an owner or a holder of the verb revoke on the grant \
             can revoke it",
        ),
    }
}

fn parties<'a>(agreement: &'a Agreement, blocked: &'a [Person]) -> Parties<'a> {
    Parties {
        requester: &agreement.requester,
        recipients: &agreement.terms.recipients,
        blocked,
    }
}

/// The groups for which an approval could count, or the reason why it counts for none.
pub(super) fn may_approve(
    vote: &Vote<'_>,
    agreement: &Agreement,
    approval: &AgreedApproval,
    blocked: &[Person],
) -> Result<Vec<usize>, &'static str> {
    let spec = &vote.object.spec;
    if spec.digest.as_ref() != Some(&agreement.digest) {
        return Err(
            "the decision approves other terms: review the current terms and approve the digest in \
             the status",
        );
    }
    parties(agreement, blocked).four_eyes(vote.by, approval.without_address)?;
    let groups = groups_of(vote.by, approval);
    if groups.is_empty() {
        return Err("this person is in none of the groups that approve the request");
    }
    let silent = spec.reason.as_ref().is_none_or(|r| r.trim().is_empty());
    if approval.reason == Requirement::Required && silent {
        return Err("the flow requires approvers to give a reason, and the decision has none");
    }
    Ok(groups)
}

fn groups_of(who: &Identity, approval: &AgreedApproval) -> Vec<usize> {
    let groups = approval.groups.iter().enumerate();
    groups
        .filter(|(_, group)| is_one_of(&group.approvers, who))
        .map(|(index, _)| index)
        .collect()
}
