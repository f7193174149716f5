//! Interrupted links: one whose Secret exists is completed, and a loan without a link is over on
//! time.

use jiff::{SignedDuration, Timestamp};

use crate::api::{AccessRecord, EndReason};

use super::closing::{Closing, Outcome};
use super::failure::Failure;
use super::links::{CALL_TIMEOUT, Links, end_of, whole_second};
use crate::plan::case::{Loan, Request};
use crate::plan::effect::Effect;
use crate::plan::observed::{LinkSeen, Observed};

/// The time within which a loan needs its first link before it is given up.
const FIRST_LINK_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Completes an interrupted intent whose Secret exists.
///
/// Anyone who can write Secrets in the links namespace can change what the Secret says about its
/// link. So the operator believes it only within the limits of the intent: the answer came within
/// the call's time, and the link has the requested lifetime.
pub fn finish(seen: &Observed, links: Links<'_>) -> Option<Effect> {
    let open = links.open()?;
    match seen.link {
        LinkSeen::Present {
            sequence,
            issued_at,
            item_version,
        } if sequence == open.sequence => {
            let (begun, end) = (open.intent_at.0, open.latest_end.0);
            let asked_for = end.duration_since(begun) - CALL_TIMEOUT;
            let life = links.delivery().longest(asked_for);
            let latest = match life {
                Some(life) => end.saturating_sub(life),
                None => begun.saturating_add(CALL_TIMEOUT),
            };
            let latest = latest.unwrap_or(begun).max(begun);
            let issued_at = whole_second(issued_at.clamp(begun, latest));
            let expires_at = life
                .and_then(|life| issued_at.saturating_add(life).ok())
                .unwrap_or(end);
            Some(Effect::FinishLink(Closing {
                sequence,
                outcome: Outcome::Issued {
                    issued_at,
                    expires_at,
                    item_version: open.item_version.unwrap_or(item_version),
                },
            }))
        }
        _ => None,
    }
}

/// The reason why a loan is over because of its links, if so.
pub fn end_due(loan: &Loan<'_>, request: &Request<'_>) -> Option<EndReason> {
    let Loan { now, links, .. } = *loan;
    if !links.renews() && links.current().is_some_and(|link| now >= end_of(link)) {
        return Some(EndReason::LinkEnded);
    }
    let is_refusal = |failure: &Failure| {
        matches!(
            failure,
            Failure::Refused | Failure::NotShareable(_) | Failure::OpensOnce
        )
    };
    let failed = loan.failed_by(is_refusal) && finish(loan.seen, links).is_none();
    let given_up = failed || now >= gives_up_at(loan, request);
    (links.granted_at().is_none() && given_up).then_some(EndReason::NotIssued)
}

/// The time at which a loan without a link is given up. Nothing starts after `notAfter`, not even a
/// link that was interrupted before 1Password made it.
///
/// An existing link was made in time, and so may be one whose Secret cannot be read now: a failed
/// look must not end for good what the next look would find. But if the API server keeps refusing
/// the objects that let the requester read the link for this long, nobody has it.
pub fn gives_up_at(loan: &Loan<'_>, request: &Request<'_>) -> Timestamp {
    let Loan { seen, links, .. } = *loan;
    let latest = first_link_until(loan.record, loan.now);
    let may_be_there = links.open().is_some() && seen.link == LinkSeen::OutOfReach;
    if may_be_there || finish(seen, links).is_some() {
        return latest;
    }
    let not_after = request.grant.spec.not_after.as_ref();
    not_after.map_or(latest, |t| t.0.min(latest))
}

/// The deadline for the first link to reach the requester.
pub fn first_link_until(record: &AccessRecord, now: Timestamp) -> Timestamp {
    let created = record.metadata.creation_timestamp.as_ref();
    let created = created.map_or(now, |t| t.0);
    created
        .saturating_add(FIRST_LINK_WITHIN)
        .unwrap_or(Timestamp::MAX)
}
