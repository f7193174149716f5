//! Denied requests. Each is recorded, so that later approvers of the same person and item see it,
//! even if the request is deleted.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    AccessRecord, AccessRecordSpec, CountedDecision, Decision, EarlierDenial, EndReason, EndRecord,
    Phase, Terms, Time,
};

use super::approval;
use super::case::Request;
use super::closed_request::{clean_up, ignore_later_decisions};
use super::delivery::orphaned_secret::OrphanedSecret;
use super::effect::{Effect, Plan};
use super::observed::Observed;
use super::record;
use super::request_outcome::{Covered, denied};
use super::terms::Agreement;

/// The number of one requester's denials that are recorded within 24 hours. Further ones are only
/// logged, and their decisions are kept.
pub const RECORDED_A_DAY: usize = 50;

const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// The number of earlier denials that a status shows: the schema's bound.
const SHOWN: usize = 5;

/// Decides about a request whose record says that it was denied: nothing is lent, and its traces
/// are deleted on time.
pub(super) fn plan(record: &AccessRecord, request: &Request<'_>) -> Plan {
    if OrphanedSecret::of(request.seen, request.uid, request.now) == OrphanedSecret::Delete {
        return Plan::effect(Effect::DeleteLink);
    }
    let plan = match (
        request.state.closed_since(),
        said_no(&record.spec.decisions),
    ) {
        (Some(over_since), _) => clean_up(request, over_since),
        // The status was lost, for example because a backup was restored.
        (None, Some(no)) => {
            let covered = Covered {
                agreement: Agreement::of(record),
                considered: Vec::new(),
                decisions: record.spec.decisions.clone(),
                ignored: Vec::new(),
            };
            denied(request, no.clone(), Some(covered))
        }
        (None, None) => Plan::default(),
    };
    show_earlier(ignore_later_decisions(plan, request), request.seen)
}

/// Decides about a request that is gone and has no record. If it was denied, the denial is still
/// recorded.
pub(super) fn of_deleted_request(gone: Option<&Request<'_>>) -> Plan {
    let record = gone.and_then(to_be_recorded);
    Plan {
        effect: record.map(|record| Effect::RecordDenial(Box::new(record))),
        ..Plan::default()
    }
}

/// The record of a denied request, unless the limit for its requester is reached.
pub(super) fn to_be_recorded(request: &Request<'_>) -> Option<AccessRecordSpec> {
    let (seen, status) = (request.seen, request.status);
    let agreement = Agreement::shown(request.grant, status)?;
    let mut decisions = status.decisions.clone();
    let no = match said_no(&decisions) {
        Some(no) => no.clone(),
        None => {
            // A request that ended otherwise is no longer denied.
            let waits = matches!(status.phase, None | Some(Phase::Pending));
            let no = approval::revocation(&seen.decisions, &agreement, None).filter(|_| waits)?;
            decisions.push(no.clone());
            no
        }
    };
    let is_taken_back = no.user == agreement.requester.username;
    if is_taken_back || recorded_lately(seen, request.now) >= RECORDED_A_DAY {
        return None;
    }
    let end = EndRecord {
        reason: EndReason::Denied,
        by: Some(no.user),
        at: no.at,
    };
    Some(AccessRecordSpec {
        end: Some(end),
        ..record::of_denial(request.grant, &agreement, decisions)
    })
}

fn said_no(decisions: &[CountedDecision]) -> Option<&CountedDecision> {
    decisions.iter().find(|d| d.decision != Decision::Approve)
}

fn recorded_lately(seen: &Observed, now: Timestamp) -> usize {
    let is_late = |record: &&Arc<AccessRecord>| {
        denied_at(record).is_some_and(|at| now.duration_since(at.0) < A_DAY)
    };
    seen.denials.iter().filter(is_late).count()
}

fn denied_at(record: &AccessRecord) -> Option<Time> {
    record.spec.end.as_ref().map(|end| end.at.clone())
}

/// The same plan, with the earlier denials of this person and item in its status.
pub(super) fn show_earlier(mut plan: Plan, seen: &Observed) -> Plan {
    if let Some(status) = &mut plan.status
        && let Some(terms) = &status.terms
    {
        status.earlier_denials = earlier(seen, terms);
    }
    plan
}

/// The denied requests of the same person for the same item, newest first.
fn earlier(seen: &Observed, terms: &Terms) -> Vec<EarlierDenial> {
    let is_of_this = |record: &&Arc<AccessRecord>| {
        let denied = &record.spec.terms;
        (&denied.account, &denied.item.id) == (&terms.account, &terms.item.id)
    };
    let of_this = seen.denials.iter().filter(is_of_this);
    let mut earlier: Vec<_> = of_this
        .filter_map(|record| {
            Some(EarlierDenial {
                at: denied_at(record)?,
                outcome: record.spec.outcome?,
            })
        })
        .collect();
    earlier.sort_by_key(|denial| std::cmp::Reverse(denial.at.0));
    earlier.truncate(SHOWN);
    earlier
}
