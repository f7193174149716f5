//! Decisions that change nothing, because nobody's approval is waited for: so that whoever made one reads why.

use jiff::Timestamp;

use crate::api::{AccessDecision, AccessGrant, CountedDecision, Decision, IgnoredDecision};
use crate::plan::observed::Observed;
use crate::plan::patience::approval_until;
use crate::plan::terms::Agreement;

use super::weigh::{
    NOT_NEEDED, TOO_LATE, heard, ignored_decision, in_order, may_approve, says_no, the_newest,
};

/// The decisions without effect on a loan, or on a request that needs nobody's approval; those that counted are known.
pub fn unheeded(
    seen: &Observed,
    grant: &AccessGrant,
    agreement: &Agreement,
    counted: &[CountedDecision],
    now: Timestamp,
) -> Vec<IgnoredDecision> {
    let mut counted: Vec<_> = counted.iter().map(Some).collect();
    let mut ignored = Vec::new();
    for object in in_order(seen) {
        if let Err(why) = heeded(object, grant, agreement, &mut counted, now) {
            ignored.push(ignored_decision(object, why));
        }
    }
    the_newest(ignored)
}

/// Whether a decision is one of those that counted, of which each stands for one object; if not, why not.
fn heeded(
    object: &AccessDecision,
    grant: &AccessGrant,
    agreement: &Agreement,
    counted: &mut [Option<&CountedDecision>],
    now: Timestamp,
) -> Result<(), &'static str> {
    let approval = agreement.terms.approval.as_ref();
    let until = approval.map_or(Timestamp::MAX, |a| approval_until(grant, a, now));
    let voice = heard(object, grant, until)?;
    let said = voice.counted();
    let is_it = |known: &&mut Option<&CountedDecision>| {
        known.is_some_and(|known| {
            (&known.user, known.decision, &known.at) == (&said.user, said.decision, &said.at)
        })
    };
    if let Some(known) = counted.iter_mut().find(is_it) {
        *known = None;
        return Ok(());
    }
    match said.decision {
        Decision::Approve => {
            let approval = approval.ok_or("the flow asks for nobody's approval")?;
            may_approve(&voice, agreement, approval)?;
            Err(NOT_NEEDED)
        }
        Decision::Deny | Decision::Revoke => {
            says_no(&voice, agreement)?;
            Err(TOO_LATE)
        }
    }
}
