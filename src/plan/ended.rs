//! A loan that has ended: its residual links, and the deletion of its traces.

use jiff::{SignedDuration, Timestamp};

use std::sync::Arc;

use crate::api::{AccessDecision, AccessGrant, AccessRecord, Phase, STALLED};

use super::approval;
use super::effect::{Effect, Plan};
use super::leftover::Leftover;
use super::observed::Observed;
use super::reasons::GrantReason;
use super::record::is_of_a_loan;
use super::status;
use super::terms::Agreement;
use super::vetting::{Vetted, vet_word};

/// How long an ended grant stays visible.
const GRANT_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 7);

/// How long a record is kept after the loan and all its links have ended.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(24 * 90);

/// The time until which a record is kept as mere history: the loan has ended, and none of its links
/// may open.
pub fn history_until(record: &AccessRecord, now: Timestamp) -> Option<Timestamp> {
    let over_at = is_of_a_loan(&record.spec).then(|| over_at(record))??;
    let due = over_at.saturating_add(RETENTION).ok()?;
    (over_at <= now && now < due).then_some(due)
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
    status.phase == Some(Phase::Ended)
        && status.ended_at.is_some()
        && is_over
        && !link_stays
        && (on_it.count() <= told || status.ignored_decisions.len() >= approval::SHOWN)
}

/// Decides about a request whose record is history: it is deleted on time.
pub fn of_history(grant: &AccessGrant, now: Timestamp) -> Plan {
    let status = grant.status.as_ref();
    let ended = status.and_then(|s| s.ended_at.as_ref());
    let residual = status.and_then(|s| s.residual_until.as_ref());
    let Some(over_at) = ended.into_iter().chain(residual).map(|t| t.0).max() else {
        return Plan::default();
    };
    let delete_at = kept_until(grant, over_at);
    Plan {
        effect: (now >= delete_at).then_some(Effect::DeleteGrant),
        wake: Some(delete_at),
        ..Plan::default()
    }
}

fn over_at(record: &AccessRecord) -> Option<Timestamp> {
    let residual = record.spec.residual_until.as_ref().map(|t| t.0);
    let ended = record.spec.end.as_ref()?.at.0;
    Some(residual.map_or(ended, |residual| residual.max(ended)))
}

/// The time until which an ended grant is kept.
fn kept_until(grant: &AccessGrant, over_at: Timestamp) -> Timestamp {
    let kept_until = over_at
        .saturating_add(GRANT_KEPT_FOR)
        .unwrap_or(Timestamp::MAX);
    let not_after = grant.spec.not_after.as_ref();
    not_after.map_or(kept_until, |t| t.0.max(kept_until))
}

/// Decides about a loan whose record says that it has ended.
pub fn plan(seen: &Observed, record: &AccessRecord, now: Timestamp) -> Plan {
    let Some(over_at) = over_at(record) else {
        return Plan::default();
    };
    let left = Leftover::of(seen, &record.spec.grant.uid, now);
    let retry_at = match &left {
        Leftover::Delete => {
            return Plan {
                effect: Some(Effect::DeleteLink),
                ..Plan::default()
            };
        }
        Leftover::Stays { retry_at, .. } => *retry_at,
        Leftover::Nothing | Leftover::MayStay(_) => None,
    };
    let residual = record.spec.residual_until.as_ref().map(|t| t.0);
    let Some(grant) = seen.grant_of(record) else {
        let due = over_at.saturating_add(RETENTION).unwrap_or(Timestamp::MAX);
        // A Secret that can still be deleted keeps the record.
        let is_due = now >= due && retry_at.is_none();
        return Plan {
            effect: is_due.then_some(Effect::DeleteRecord),
            wake: retry_at.or(Some(due)),
            ..Plan::default()
        };
    };
    let delete_at = kept_until(grant, over_at);
    if now >= delete_at {
        return Plan {
            effect: Some(Effect::DeleteGrant),
            ..Plan::default()
        };
    }
    let word = vet_word(seen, record, grant, now);
    if matches!(word, Vetted::AfterACheck) {
        return Plan {
            effect: Some(Effect::CheckBoundary),
            ..Plan::default()
        };
    }
    let agreement = Agreement::of(record);
    let counted = &record.spec.decisions;
    let ignored = approval::unheeded(seen, grant, &agreement, counted, now);
    let status = status::of_ended(grant, record, word.refuted().as_ref(), &left, ignored, now);
    let notes = status::notes(grant, &status);
    let over = residual.filter(|r| *r > now).unwrap_or(delete_at);
    Plan {
        effect: None,
        status: Some(status),
        wake: retry_at.map_or(Some(over), |retry_at| Some(retry_at.min(over))),
        notes,
    }
}
