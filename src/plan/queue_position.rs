//! The position of a request among its requester's others: which ones come first, and how many are
//! too many.
//!
//! A request that has a place keeps it; all others wait in line, oldest first. A request with too
//! many before it fails at once, before anything is looked up for it.

use jiff::{SignedDuration, Timestamp};

use crate::api::FlowLimits;

use super::case::Request;
use super::deadline::later;
use super::flow::open_to;
use super::reasons::GrantReason;
use super::request_state::RequestState;
use super::resolve::{Kind, RequestBlock};

/// For each request of a requester that may wait for approval, this many may wait in line.
const IN_LINE_FOR_EACH_PLACE: u32 = 5;

/// The shortest interval after which a request checks again how many requests are before it.
const LOOKS_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// The additional interval for each request before it. Without it, the work of thousands of
/// requests that keep checking would grow quadratically.
const FOR_EACH_BEFORE_IT: SignedDuration = SignedDuration::from_millis(10);

/// Whether a request is to be processed, as far as its requester's other requests are concerned.
pub(super) enum Room {
    /// It is processed.
    Enough,
    /// It is processed only after the ones before it.
    NotBefore(Timestamp),
    /// It is never processed: too many are before it.
    None(RequestBlock),
}

/// Whether a request is to be processed. A request that has a place is never turned away.
pub(super) fn room(request: &Request<'_>) -> Room {
    let is_in_line = matches!(request.state, RequestState::InLine | RequestState::New);
    let ahead = request.seen.ahead;
    let Some(requester) = request.requester().filter(|_| is_in_line) else {
        return Room::Enough;
    };
    let flows = open_to(request, requester);
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
        let hold = RequestBlock::new(Kind::Final, GrantReason::TooManyRequests, message);
        return Room::None(hold);
    }
    let before = ahead.in_line.saturating_add(ahead.new);
    let behind = i32::try_from(before.min(most)).unwrap_or(i32::MAX);
    match before >= most {
        true => Room::NotBefore(later(
            request.now,
            LOOKS_AGAIN_AFTER + FOR_EACH_BEFORE_IT * behind,
        )),
        false => Room::Enough,
    }
}
