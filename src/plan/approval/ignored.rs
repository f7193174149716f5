//! Decisions without effect: no approval is required, or none is required any longer. The status
//! tells their makers why.

use jiff::Timestamp;

use crate::api::{
    AccessDecision, AccessGrantStatus, AgreedApproval, CountedDecision, Decision, IgnoredDecision,
};
use crate::plan::case::Request;
use crate::plan::terms::Agreement;

use super::tally::NOT_NEEDED;
use super::weigh::{
    OVER, TOO_LATE, heard, ignored_decision, in_order, may_approve, says_no, the_newest,
};

/// The terms require no approval.
const NOBODYS: &str = "the flow does not require approval";

/// The decisions without effect on a loan, or on a request that requires no approval; the decisions
/// that counted are known.
pub fn ignored(
    request: &Request<'_>,
    agreement: &Agreement,
    counted: &[CountedDecision],
) -> Vec<IgnoredDecision> {
    let mut counted: Vec<_> = counted.iter().map(Some).collect();
    let mut ignored = Vec::new();
    for object in in_order(request.seen) {
        if let Err(why) = heeded(object, request, agreement, &mut counted) {
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
    let mut counted: Vec<_> = status.decisions.iter().map(Some).collect();
    let mut ignored = Vec::new();
    for object in in_order(request.seen) {
        if let Err(why) = late(object, request, agreement.as_ref(), &mut counted, end) {
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
    agreement: Option<&Agreement>,
    counted: &mut [Option<&CountedDecision>],
    end: AtLast,
) -> Result<(), &'static str> {
    let approval = agreement.and_then(|a| a.terms.approval.as_ref());
    let vote = heard(object, request, heard_until(request, approval))?;
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
    match (said.decision, agreement) {
        (Decision::Approve, Some(agreement)) => {
            let approval = approval.ok_or(NOBODYS)?;
            may_approve(&vote, agreement, approval, request.seen.blocked())?;
        }
        (_, Some(agreement)) => says_no(&vote, agreement)?,
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
    counted: &mut [Option<&CountedDecision>],
) -> Result<(), &'static str> {
    let approval = agreement.terms.approval.as_ref();
    let vote = heard(object, request, heard_until(request, approval))?;
    let said = vote.counted();
    if is_one_of(counted, &said) {
        return Ok(());
    }
    match said.decision {
        Decision::Approve => {
            let approval = approval.ok_or(NOBODYS)?;
            may_approve(&vote, agreement, approval, request.seen.blocked())?;
            Err(NOT_NEEDED)
        }
        Decision::Deny | Decision::Revoke => {
            says_no(&vote, agreement)?;
            Err(TOO_LATE)
        }
    }
}

/// The deadline for approvals, if any are required.
fn heard_until(request: &Request<'_>, approval: Option<&AgreedApproval>) -> Timestamp {
    approval.map_or(Timestamp::MAX, |approval| {
        request.approval_deadline(approval)
    })
}

/// Removes a decision from those that counted, if it is among them.
fn is_one_of(counted: &mut [Option<&CountedDecision>], said: &CountedDecision) -> bool {
    let is_it = |known: &&mut Option<&CountedDecision>| {
        known.is_some_and(|known| known.uid.is_some() && known.uid == said.uid)
    };
    let known = counted.iter_mut().find(is_it);
    known.is_some_and(|known| known.take().is_some())
}
