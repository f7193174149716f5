//! The position of a request among its requester's others: which ones come first, and how many are
//! too many.
//!
//! A request that has a place keeps it; all others wait in line, oldest first. A request with too
//! many before it fails at once, before anything is looked up for it.

use jiff::{SignedDuration, Timestamp};

use crate::api::{ACCEPTED, AccessGrant, FlowLimits, Phase};

use super::flow::open_to;
use super::observed::Observed;
use super::over::final_since;
use super::patience::later;
use super::reasons::GrantReason;
use super::resolve::{Hold, Kind};

/// For each request of a requester that may wait for approval, this many may wait in line.
const IN_LINE_FOR_EACH_PLACE: u32 = 5;

/// The shortest interval after which a request checks again how many requests are before it.
const LOOKS_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// The additional interval for each request before it. Without it, the work of thousands of
/// requests that keep checking would grow quadratically.
const FOR_EACH_BEFORE_IT: SignedDuration = SignedDuration::from_millis(10);

/// The position of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A flow covers the request, and its requester is within that flow's limits.
    HasPlace,
    /// The request waits for a place, or for something that is missing.
    InLine,
    /// The request has not been processed.
    New,
    /// The request is over, or has become a loan, which its record shows.
    Gone,
}

impl Standing {
    /// The position of this request.
    pub fn of(grant: &AccessGrant) -> Self {
        if grant.metadata.deletion_timestamp.is_some() {
            return Self::Gone;
        }
        let Some((status, phase)) = grant.status.as_ref().and_then(|s| Some((s, s.phase?))) else {
            return Self::New;
        };
        if status.record.is_some() || status.granted_at.is_some() || final_since(status).is_some() {
            return Self::Gone;
        }
        let mut accepted = status.conditions.iter().filter(|c| c.type_ == ACCEPTED);
        let no_place = accepted.any(|c| c.reason == GrantReason::LimitReached);
        let is_on_its_way = matches!(phase, Phase::Pending | Phase::Issuing);
        match is_on_its_way && status.terms.is_some() && !no_place {
            true => Self::HasPlace,
            false => Self::InLine,
        }
    }
}

/// Whether a request is to be processed, as far as its requester's other requests are concerned.
pub(super) enum Room {
    /// It is processed.
    Enough,
    /// It is processed only after the ones before it.
    NotBefore(Timestamp),
    /// It is never processed: too many are before it.
    None(Hold),
}

/// Whether a request is to be processed. A request that has a place is never turned away.
pub(super) fn room(seen: &Observed, grant: &AccessGrant, now: Timestamp) -> Room {
    let is_in_line = matches!(Standing::of(grant), Standing::InLine | Standing::New);
    let ahead = seen.ahead;
    let Some(requester) = grant.spec.requester.as_ref().filter(|_| is_in_line) else {
        return Room::Enough;
    };
    let flows = open_to(seen, grant, requester);
    let places = flows
        .iter()
        .map(|flow| flow.spec.limits.pending_per_requester);
    // Without a flow that lets the person request, the default limit applies.
    let usual = FlowLimits::default().pending_per_requester;
    let most = IN_LINE_FOR_EACH_PLACE.saturating_mul(places.max().unwrap_or(usual));
    if ahead.in_line >= most {
        let message = format!(
            "you already have {most} or more pending requests, five times the number that may wait \
             for approval: delete those that you do not need, then request again"
        );
        let hold = Hold::new(Kind::Final, GrantReason::TooManyRequests, message);
        return Room::None(hold);
    }
    let before = ahead.in_line.saturating_add(ahead.new);
    let behind = i32::try_from(before.min(most)).unwrap_or(i32::MAX);
    match before >= most {
        true => Room::NotBefore(later(now, LOOKS_AGAIN_AFTER + FOR_EACH_BEFORE_IT * behind)),
        false => Room::Enough,
    }
}
