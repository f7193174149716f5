//! A request that is over: its possible leftovers, and how long it stays visible.

use jiff::{SignedDuration, Timestamp};

use crate::api::Decision;

use super::approval::{self, AtLast};
use super::case::Request;
use super::deadline::later;
use super::effect::{Effect, Plan};
use super::request_state::RequestState;

/// How long a failed request is kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 7);

/// The same plan. If it ends the request, its status gives the reason why each further decision has
/// no effect, including later ones.
pub(super) fn ignore_later_decisions(mut plan: Plan, request: &Request<'_>) -> Plan {
    if let Some(status) = &mut plan.status
        && RequestState::shown(status).closed_since().is_some()
    {
        let mut ended_by = status.decisions.iter();
        let ended_by = ended_by.find(|d| d.decision != Decision::Approve);
        let end = match ended_by {
            Some(no) => AtLast::EndedBy(no.at.0),
            None if request.state.closed_since().is_some() => AtLast::WasOver,
            None => AtLast::Ends,
        };
        status.ignored_decisions = approval::ignored_at_last(request, status, end);
    }
    plan
}

/// Old requests are deleted. A request with `notAfter` is kept until then, because a tool that
/// re-creates it would otherwise request again.
pub(super) fn clean_up(request: &Request<'_>, over_since: Timestamp) -> Plan {
    let residual = request.status.residual_until.as_ref();
    let over_at = residual.map_or(over_since, |until| until.0.max(over_since));
    let due = later(over_at, KEPT_FOR);
    let not_after = request.grant.spec.not_after.as_ref();
    let due = not_after.map_or(due, |t| t.0.max(due));
    let due = request.state.turned_away_until().unwrap_or(due);
    if request.now >= due {
        return Plan::effect(Effect::DeleteGrant);
    }
    Plan {
        wake: Some(due),
        status: request.grant.status.clone(),
        ..Plan::default()
    }
}
