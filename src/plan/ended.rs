//! A loan that is over: until when a link may still open, and when its traces are tidied away.

use jiff::{SignedDuration, Timestamp};

use crate::api::AccessRecord;

use super::approval;
use super::effect::{Effect, Plan};
use super::leftover::Leftover;
use super::observed::Observed;
use super::status;
use super::terms::Agreement;
use super::vetting::{Vetted, vet_word};

/// How long an ended grant is kept for people to read.
const GRANT_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 7);

/// How long a record is kept after the loan and all its links have ended.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Decide about a loan whose record says that it has ended.
pub fn plan(seen: &Observed, record: &AccessRecord, now: Timestamp) -> Plan {
    let Some(end) = &record.spec.end else {
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
    let over_at = residual.map_or(end.at.0, |r| r.max(end.at.0));
    let Some(grant) = seen.grant_of(record) else {
        let due = over_at.saturating_add(RETENTION).unwrap_or(Timestamp::MAX);
        // What can still be deleted is not forgotten.
        let is_due = now >= due && retry_at.is_none();
        return Plan {
            effect: is_due.then_some(Effect::DeleteRecord),
            wake: retry_at.or(Some(due)),
            ..Plan::default()
        };
    };
    let kept_until = over_at
        .saturating_add(GRANT_KEPT_FOR)
        .unwrap_or(Timestamp::MAX);
    let delete_at = grant
        .spec
        .not_after
        .as_ref()
        .map_or(kept_until, |t| t.0.max(kept_until));
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
