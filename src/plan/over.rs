//! A request that is over: its possible leftovers, and how long it stays visible.

use jiff::{SignedDuration, Timestamp};

use crate::api::{ACCEPTED, AccessGrant, AccessGrantStatus, Decision, Phase};

use super::approval::{self, AtLast};
use super::effect::{Effect, Plan};
use super::links::latest_end;
use super::observed::Observed;
use super::patience::later;
use super::reasons::GrantReason;

/// How long a failed request is kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 7);

/// How long a request that was turned away is kept.
const TURNED_AWAY_KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);

/// The time at which a request reached a final state, if it has.
pub fn final_since(status: &AccessGrantStatus) -> Option<Timestamp> {
    let condition = |kind| status.conditions.iter().find(|c| c.type_ == kind);
    let accepted = condition(ACCEPTED)?;
    let over = match status.phase? {
        Phase::Denied | Phase::Lapsed => true,
        Phase::Failed => GrantReason::of(accepted).is_some_and(GrantReason::is_for_good),
        Phase::Pending | Phase::Issuing | Phase::Active | Phase::Ending | Phase::Ended => false,
    };
    let since = condition(crate::api::STALLED).unwrap_or(accepted);
    over.then_some(since.last_transition_time.0)
}

/// Whether a request failed because too many were before it: nothing was looked up for it, and it
/// is deleted soon.
pub fn is_turned_away(grant: &AccessGrant) -> bool {
    let status = grant.status.as_ref();
    let mut conditions = status.into_iter().flat_map(|s| &s.conditions);
    status.and_then(|s| s.phase) == Some(Phase::Failed)
        && conditions.any(|c| c.type_ == ACCEPTED && c.reason == GrantReason::TooManyRequests)
}

/// The time until which a request that was turned away is kept. Its `notAfter` does not extend
/// this, because creating it again is just another request.
pub fn turned_away_until(grant: &AccessGrant) -> Option<Timestamp> {
    let since = grant.status.as_ref().and_then(final_since);
    since
        .filter(|_| is_turned_away(grant))
        .map(|since| later(since, TURNED_AWAY_KEPT_FOR))
}

/// Whether a record of this loan was seen before, although there is none now.
pub(super) fn has_been_lent(grant: &AccessGrant) -> bool {
    let status = grant.status.as_ref();
    status.is_some_and(|s| s.record.is_some() || s.granted_at.is_some())
}

/// The time until which a link may still open, as far as the status knows. No link outlives its
/// loan.
pub(super) fn last_known_residual(grant: &AccessGrant, now: Timestamp) -> Option<Timestamp> {
    let status = grant.status.as_ref()?;
    let said = status.residual_until.as_ref().map(|t| t.0);
    let known = match (&status.ended_at, &status.granted_at, &status.terms) {
        _ if said.is_some() => said,
        (Some(_), _, _) => None,
        (None, Some(_), _) => {
            let link = status.link.as_ref().map(|link| link.expires_at.0);
            link.max(status.expires_at.as_ref().map(|t| t.0))
        }
        // The first link was being issued and may have been started just now.
        (None, None, Some(terms)) => {
            Some(latest_end(now, terms.link_lifetime, SignedDuration::ZERO))
        }
        (None, None, None) => None,
    };
    known.filter(|until| *until > now)
}

/// The same plan. If it ends the request, its status gives the reason why each further decision has
/// no effect, including later ones.
pub(super) fn heed_nothing_more(
    mut plan: Plan,
    seen: &Observed,
    grant: &AccessGrant,
    now: Timestamp,
) -> Plan {
    if let Some(status) = &mut plan.status
        && final_since(status).is_some()
    {
        let mut ended_by = status.decisions.iter();
        let ended_by = ended_by.find(|d| d.decision != Decision::Approve);
        let was_over = grant.status.as_ref().and_then(final_since).is_some();
        let end = match ended_by {
            Some(no) => AtLast::EndedBy(no.at.0),
            None if was_over => AtLast::WasOver,
            None => AtLast::Ends,
        };
        status.ignored_decisions = approval::unheeded_at_last(seen, grant, status, end, now);
    }
    plan
}

/// Old requests are deleted. A request with `notAfter` is kept until then, because a tool that
/// re-creates it would otherwise request again.
pub(super) fn clean_up(grant: &AccessGrant, over_since: Timestamp, now: Timestamp) -> Plan {
    let residual = grant.status.as_ref();
    let residual = residual.and_then(|s| s.residual_until.as_ref());
    let over_at = residual.map_or(over_since, |until| until.0.max(over_since));
    let due = later(over_at, KEPT_FOR);
    let not_after = grant.spec.not_after.as_ref();
    let due = not_after.map_or(due, |t| t.0.max(due));
    let due = turned_away_until(grant).unwrap_or(due);
    if now >= due {
        return Plan {
            effect: Some(Effect::DeleteGrant),
            ..Plan::default()
        };
    }
    Plan {
        wake: Some(due),
        status: grant.status.clone(),
        ..Plan::default()
    }
}
