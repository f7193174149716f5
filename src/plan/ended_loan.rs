//! A loan that has ended: its residual links, and the deletion of its traces.

use jiff::{SignedDuration, Timestamp};

use std::sync::Arc;

use crate::api::{AccessDecision, AccessGrant, AccessRecord, Phase, STALLED};

use super::approval;
use super::case::{EndedLoan, Request};
use super::closed_request::{clean_up, ignore_later_decisions};
use super::deadline::later;
use super::delivery::orphaned_secret::OrphanedSecret;
use super::effect::{Effect, Plan};
use super::reasons::GrantReason;
use super::record::{is_of_a_loan, kept_from, over_at};
use super::request_state::RequestState;
use super::status;
use super::terms::Agreement;
use super::unlent;
use super::vetting::{Vetted, vet_word};

/// How long an ended grant stays visible.
const GRANT_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 7);

/// How long a record is kept after the loan and all its links have ended.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(24 * 90);

/// A record that is mere history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// The time at which nothing of it opened any longer.
    pub since: Timestamp,
    /// The time until which it is kept.
    pub until: Timestamp,
}

/// Whether a record is mere history: the loan has ended and none of its links may open, or the
/// request was not granted and nobody needs to know more of it.
pub fn history(record: &AccessRecord, now: Timestamp) -> Option<History> {
    let end = record.spec.end.as_ref()?;
    let over_at = over_at(&record.spec, end);
    let settled_at = match is_of_a_loan(&record.spec) {
        true => over_at,
        false => unlent::settled_at(record, end)?,
    };
    let due = kept_from(record, end).saturating_add(RETENTION).ok()?;
    (settled_at <= now && now < due).then_some(History {
        since: over_at,
        until: due,
    })
}

/// Whether a request's status contains everything that its record can tell: the record is history,
/// and no decision was made since.
pub fn is_settled(grant: &AccessGrant, decisions: &[Arc<AccessDecision>], now: Timestamp) -> bool {
    let Some(status) = &grant.status else {
        return false;
    };
    let told = status.decisions.len() + status.ignored_decisions.len();
    let on_it = decisions
        .iter()
        .filter(|decision| Some(&decision.spec.grant_uid) == grant.metadata.uid.as_ref());
    let is_over = status.residual_until.as_ref().is_none_or(|t| t.0 <= now);
    let link_stays = status
        .conditions
        .iter()
        .any(|c| c.type_ == STALLED && c.reason == GrantReason::LinkSecretStays);
    let has_ended = status.phase == Some(Phase::Ended) && status.ended_at.is_some();
    let was_closed = RequestState::shown(status).closed_since().is_some();
    (has_ended || was_closed)
        && is_over
        && !link_stays
        && (on_it.count() <= told || status.ignored_decisions.len() >= approval::SHOWN)
}

/// Decides about a request whose record is history: it is deleted on time.
pub(super) fn of_history(request: &Request<'_>) -> Plan {
    let status = request.status;
    if let Some(over_since) = request.state.closed_since() {
        return ignore_later_decisions(clean_up(request, over_since), request);
    }
    let known = [&status.ended_at, &status.residual_until];
    let Some(over_at) = known.into_iter().flatten().map(|t| t.0).max() else {
        return Plan::default();
    };
    let delete_at = kept_until(request, over_at);
    Plan {
        effect: (request.now >= delete_at).then_some(Effect::DeleteGrant),
        wake: Some(delete_at),
        ..Plan::default()
    }
}

/// The time until which an ended grant is kept.
fn kept_until(request: &Request<'_>, over_at: Timestamp) -> Timestamp {
    let kept_until = later(over_at, GRANT_KEPT_FOR);
    let not_after = request.grant.spec.not_after.as_ref();
    not_after.map_or(kept_until, |t| t.0.max(kept_until))
}

/// Decides about a loan that has ended, and whose request still exists.
pub(super) fn plan(loan: &EndedLoan<'_>, request: &Request<'_>) -> Plan {
    let left = OrphanedSecret::of(loan.seen, loan.uid(), loan.now);
    if left == OrphanedSecret::Delete {
        return Plan::effect(Effect::DeleteLink);
    }
    let delete_at = kept_until(request, loan.over_at);
    if loan.now >= delete_at {
        return Plan::effect(Effect::DeleteGrant);
    }
    let record = loan.record;
    let word = vet_word(record, request);
    if matches!(word, Vetted::AfterACheck) {
        return Plan::effect(Effect::CheckBoundary);
    }
    let ignored = approval::ignored(request, &Agreement::of(record), &record.spec.decisions);
    let status = status::of_ended(loan, request, word.refuted().as_ref(), &left, ignored);
    let over = loan.residual().unwrap_or(delete_at);
    Plan {
        status: Some(status),
        wake: left.retry_at().into_iter().chain([over]).min(),
        ..Plan::default()
    }
}

/// Decides about a loan that has ended, or a denial, whose request is gone.
pub(super) fn without_request(loan: &EndedLoan<'_>) -> Plan {
    let left = OrphanedSecret::of(loan.seen, loan.uid(), loan.now);
    if left == OrphanedSecret::Delete {
        return Plan::effect(Effect::DeleteLink);
    }
    let due = later(kept_from(loan.record, loan.end), RETENTION);
    let settled = unlent::settled_at(loan.record, loan.end)
        .filter(|at| !is_of_a_loan(&loan.record.spec) && *at > loan.now);
    // A Secret that can still be deleted keeps the record.
    let is_due = loan.now >= due && left.retry_at().is_none();
    Plan {
        effect: is_due.then_some(Effect::DeleteRecord),
        wake: left.retry_at().or(settled).or(Some(due)),
        ..Plan::default()
    }
}
