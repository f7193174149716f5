//! Decisions without effect, and what their makers are told: why a decision does not count, or that
//! no approval is required, or none is required any longer.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::api::{AccessDecision, AccessGrantStatus, CountedDecision, Decision, IgnoredDecision};
use crate::plan::case::Request;
use crate::plan::terms::Agreement;

use super::approvers::Approvers;
use super::tally::NOT_NEEDED;
use super::vote::{TOO_LATE, Vote, approvers, ignored_decision, in_order};

/// The request ended for another reason than this decision.
const OVER: &str = "the request ended before the decision could take effect";

/// The number of ignored decisions that a status shows.
pub(in crate::plan) const SHOWN: usize = 20;

/// The decisions without effect on a loan, or on a request that requires no approval; the decisions
/// that counted are known.
pub fn ignored(
    request: &Request<'_>,
    agreement: &Agreement,
    counted: &[CountedDecision],
) -> Vec<IgnoredDecision> {
    let approvers = approvers(request, agreement);
    let mut counted: Vec<_> = counted.iter().map(Some).collect();
    let mut ignored = Vec::new();
    for object in in_order(request.seen) {
        if let Err(why) = heeded(object, request, agreement, &approvers, &mut counted) {
            ignored.push(ignored_decision(object, why));
        }
    }
    the_newest(ignored)
}

/// The decisions without effect on a request that failed, according to its status. A reason that
/// was shown for a decision stays.
pub fn ignored_at_last(
    request: &Request<'_>,
    status: &AccessGrantStatus,
    end: AtLast,
) -> Vec<IgnoredDecision> {
    let agreement = Agreement::shown(request.grant, status);
    let agreed = agreement.as_ref();
    let agreed = agreed.map(|agreement| (agreement, approvers(request, agreement)));
    let mut counted: Vec<_> = status.decisions.iter().map(Some).collect();
    let mut ignored = Vec::new();
    for object in in_order(request.seen) {
        if let Err(why) = late(object, request, agreed.as_ref(), &mut counted, end) {
            let anew = ignored_decision(object, why);
            let mut told = status.ignored_decisions.iter();
            let told = told.find(|told| told.name == anew.name && told.user == anew.user);
            ignored.push(told.cloned().unwrap_or(anew));
        }
    }
    the_newest(ignored)
}

/// When a request failed, as far as that is known.
#[derive(Clone, Copy, Debug)]
pub enum AtLast {
    /// A decision made at this time ended it.
    EndedBy(Timestamp),
    /// The request ends now.
    Ends,
    /// The request ended before.
    WasOver,
}

/// Whether a decision counted before the request failed; if not, the reason.
fn late(
    object: &AccessDecision,
    request: &Request<'_>,
    agreed: Option<&(&Agreement, Approvers<'_>)>,
    counted: &mut [Option<&CountedDecision>],
    end: AtLast,
) -> Result<(), &'static str> {
    let vote = Vote::on(request, object)?;
    if let Some((_, approvers)) = agreed {
        vote.in_time(approvers)?;
    }
    let said = vote.counted();
    if is_one_of(counted, &said) {
        return Ok(());
    }
    let is_late = match end {
        AtLast::EndedBy(at) => said.at.0 >= at,
        AtLast::Ends => false,
        AtLast::WasOver => true,
    };
    if is_late {
        return Err(TOO_LATE);
    }
    match (said.decision, agreed) {
        (Decision::Approve, Some((agreement, approvers))) => {
            vote.approves(agreement, approvers)?;
        }
        (_, Some((_, approvers))) => vote.says_no(approvers)?,
        (_, None) => {}
    }
    Err(OVER)
}

/// Whether a decision is one of those that counted, each of which stands for one object; if not,
/// the reason.
fn heeded(
    object: &AccessDecision,
    request: &Request<'_>,
    agreement: &Agreement,
    approvers: &Approvers<'_>,
    counted: &mut [Option<&CountedDecision>],
) -> Result<(), &'static str> {
    let vote = Vote::on(request, object)?;
    vote.in_time(approvers)?;
    let said = vote.counted();
    if is_one_of(counted, &said) {
        return Ok(());
    }
    match said.decision {
        Decision::Approve => {
            vote.approves(agreement, approvers)?;
            Err(NOT_NEEDED)
        }
        Decision::Deny | Decision::Revoke => {
            vote.says_no(approvers)?;
            Err(TOO_LATE)
        }
    }
}

/// Removes a decision from those that counted, if it is among them.
fn is_one_of(counted: &mut [Option<&CountedDecision>], said: &CountedDecision) -> bool {
    let is_it = |known: &&mut Option<&CountedDecision>| {
        known.is_some_and(|known| known.uid.is_some() && known.uid == said.uid)
    };
    let known = counted.iter_mut().find(is_it);
    known.is_some_and(|known| known.take().is_some())
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
