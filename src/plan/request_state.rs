//! What a request's status remembers, read once: how far the request has got.

use jiff::{SignedDuration, Timestamp};

use crate::api::{ACCEPTED, AccessGrant, AccessGrantStatus, Phase, STALLED};

use super::deadline::later;
use super::reasons::GrantReason;

/// How long a request that was turned away is kept.
const TURNED_AWAY_KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);

/// How far a request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// The request has not been processed.
    New,
    /// The request waits for a place, or for something that is missing.
    InLine,
    /// A flow covers the request, and its requester is within that flow's limits.
    HasPlace,
    /// The request has become a loan: a record of it was seen.
    Lent,
    /// The request is over: it was denied, has lapsed or has failed for good.
    Closed {
        /// The time at which it was over.
        since: Timestamp,
    },
    /// The request failed because too many were before it: nothing was looked up for it, and it is
    /// deleted soon.
    TurnedAway {
        /// The time at which it failed.
        since: Timestamp,
    },
    /// The request is being deleted.
    Deleted,
}

impl RequestState {
    /// The state of this request.
    pub fn of(grant: &AccessGrant) -> Self {
        match &grant.status {
            _ if grant.metadata.deletion_timestamp.is_some() => Self::Deleted,
            Some(status) => Self::shown(status),
            None => Self::New,
        }
    }

    /// The state that a status shows.
    pub fn shown(status: &AccessGrantStatus) -> Self {
        let Some(phase) = status.phase else {
            return Self::New;
        };
        let condition = |kind| status.conditions.iter().find(|c| c.type_ == kind);
        let accepted = condition(ACCEPTED);
        let reason = accepted.and_then(GrantReason::of);
        let is_closed = match phase {
            Phase::Denied | Phase::Lapsed => true,
            Phase::Failed => reason.is_some_and(GrantReason::is_for_good),
            Phase::Pending | Phase::Issuing | Phase::Active | Phase::Ending | Phase::Ended => false,
        };
        if let Some(accepted) = accepted.filter(|_| is_closed) {
            let since = condition(STALLED).unwrap_or(accepted);
            let since = since.last_transition_time.0;
            return match (phase, reason) {
                (Phase::Failed, Some(GrantReason::TooManyRequests)) => Self::TurnedAway { since },
                _ => Self::Closed { since },
            };
        }
        if status.record.is_some() || status.granted_at.is_some() {
            return Self::Lent;
        }
        let is_on_its_way = matches!(phase, Phase::Pending | Phase::Issuing);
        let no_place = reason == Some(GrantReason::LimitReached);
        match is_on_its_way && status.terms.is_some() && !no_place {
            true => Self::HasPlace,
            false => Self::InLine,
        }
    }

    /// Whether this request was turned away.
    pub fn was_turned_away(grant: &AccessGrant) -> bool {
        let shown = grant.status.as_ref().map(Self::shown);
        matches!(shown, Some(Self::TurnedAway { .. }))
    }

    /// The time at which the request was over, if it is.
    pub fn closed_since(self) -> Option<Timestamp> {
        match self {
            Self::Closed { since } | Self::TurnedAway { since } => Some(since),
            Self::New | Self::InLine | Self::HasPlace | Self::Lent | Self::Deleted => None,
        }
    }

    /// The time until which a request that was turned away is kept. Its `notAfter` does not extend
    /// this, because creating it again is just another request.
    pub fn turned_away_until(self) -> Option<Timestamp> {
        match self {
            Self::TurnedAway { since } => Some(later(since, TURNED_AWAY_KEPT_FOR)),
            _ => None,
        }
    }
}
