//! Requests that a flow covered and that were not granted: denied, taken back, lapsed or failed. Each
//! is recorded, so that the ledger and later approvers of the same person and item see it, even if
//! the request is deleted.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    ACCEPTED, AccessRecord, AccessRecordSpec, CountedDecision, Decision, EarlierDenial, EndReason,
    EndRecord, Phase, RequestOutcome, Terms, Time,
};

use super::approval;
use super::case::Request;
use super::closed_request::{clean_up, ignore_later_decisions};
use super::deadline::later;
use super::delivery::orphaned_secret::OrphanedSecret;
use super::effect::{Effect, Plan};
use super::observed::Observed;
use super::reasons::GrantReason;
use super::record;
use super::request_outcome::{Covered, denied, held};
use super::request_state::RequestState;
use super::resolve::{Kind, RequestBlock};
use super::terms::Agreement;

/// The number of one requester's denials that are recorded within 24 hours, and of their requests
/// that were not granted for another reason. Further ones are only logged, and their decisions are kept.
pub const RECORDED_A_DAY: usize = 50;

const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// The number of earlier denials that a status shows: the schema's bound.
const SHOWN: usize = 5;

/// Decides about a request whose record says that it was not granted: nothing is lent, and its
/// traces are deleted on time.
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
        (None, None) => {
            let message = "the request was not granted earlier, as its record says; request again";
            let over = RequestBlock::new(Kind::Lapsed, GrantReason::Lapsed, message);
            held(request, over, Vec::new(), None)
        }
    };
    let settled = record
        .spec
        .end
        .as_ref()
        .and_then(|end| settled_at(record, end));
    let wake = plan
        .wake
        .into_iter()
        .chain(settled.filter(|at| *at > request.now))
        .min();
    let plan = Plan { wake, ..plan };
    show_earlier(ignore_later_decisions(plan, request), request.seen)
}

/// Decides about a request that is gone and has no record. If a flow covered it, it is still
/// recorded.
pub(super) fn of_deleted_request(gone: Option<&Request<'_>>) -> Plan {
    let record = gone.and_then(to_be_recorded);
    Plan {
        effect: record.map(|record| Effect::RecordUnlent(Box::new(record))),
        ..Plan::default()
    }
}

/// The record of a request that was not granted although a flow covered it, unless the limit for its
/// requester is reached.
pub(super) fn to_be_recorded(request: &Request<'_>) -> Option<AccessRecordSpec> {
    let agreement = Agreement::shown(request.grant, request.status)?;
    let mut decisions = request.status.decisions.clone();
    let (outcome, by, at) = match said_no(&decisions)
        .cloned()
        .or_else(|| unseen_no(request, &agreement))
    {
        Some(no) => {
            let by = no.user.clone();
            let outcome = match by == agreement.requester.username {
                true => RequestOutcome::TakenBack,
                false => RequestOutcome::Denied,
            };
            if said_no(&decisions).is_none() {
                decisions.push(no.clone());
            }
            (outcome, Some(by), no.at)
        }
        None => {
            let (outcome, at) = over_by_itself(request)?;
            (outcome, None, Time(at))
        }
    };
    if recorded_lately(request.seen, outcome, request.now) >= RECORDED_A_DAY {
        return None;
    }
    Some(AccessRecordSpec {
        end: Some(EndRecord {
            reason: reason_of(outcome)?,
            by,
            at,
        }),
        ignored_decisions: request.status.ignored_decisions.clone(),
        considered_flows: request.status.considered_flows.clone(),
        ..record::of_unlent(request.grant, &agreement, decisions, outcome)
    })
}

/// The decision that ends a waiting request and that its status does not show yet. A request that
/// ended otherwise is no longer denied.
fn unseen_no(request: &Request<'_>, agreement: &Agreement) -> Option<CountedDecision> {
    let waits = matches!(request.status.phase, None | Some(Phase::Pending));
    approval::revocation(&request.seen.decisions, agreement, None).filter(|_| waits)
}

/// The outcome of a request that nobody refused, and its time.
fn over_by_itself(request: &Request<'_>) -> Option<(RequestOutcome, Timestamp)> {
    let is_gone = request.seen.grant.is_none();
    match RequestState::shown(request.status) {
        RequestState::Closed { since } => match request.status.phase? {
            Phase::Lapsed => Some((RequestOutcome::Lapsed, since)),
            // A loan whose record is missing was lent.
            Phase::Failed if request.status.record.is_none() && !had_a_record(request) => {
                Some((RequestOutcome::Failed, since))
            }
            _ => None,
        },
        RequestState::HasPlace if is_gone => Some((RequestOutcome::TakenBack, request.now)),
        _ => None,
    }
}

fn had_a_record(request: &Request<'_>) -> bool {
    let accepted = request
        .status
        .conditions
        .iter()
        .find(|c| c.type_ == ACCEPTED);
    accepted.is_some_and(|c| c.reason == GrantReason::RecordMissing)
}

fn reason_of(outcome: RequestOutcome) -> Option<EndReason> {
    match outcome {
        RequestOutcome::Lent => None,
        RequestOutcome::Denied => Some(EndReason::Denied),
        RequestOutcome::TakenBack => Some(EndReason::TakenBack),
        RequestOutcome::Lapsed => Some(EndReason::Lapsed),
        RequestOutcome::Failed => Some(EndReason::Failed),
    }
}

fn said_no(decisions: &[CountedDecision]) -> Option<&CountedDecision> {
    decisions.iter().find(|d| d.decision != Decision::Approve)
}

/// How many requests of this person were not granted lately. Denials are counted apart: a person
/// who withdraws many requests must not keep a denial out of the ledger.
fn recorded_lately(seen: &Observed, outcome: RequestOutcome, now: Timestamp) -> usize {
    let is_denial = outcome == RequestOutcome::Denied;
    let is_late = |record: &&Arc<AccessRecord>| {
        over_at(record).is_some_and(|at| now.duration_since(at.0) < A_DAY)
            && is_denied(record) == is_denial
    };
    seen.unlent.iter().filter(is_late).count()
}

/// Whether an approver or owner denied this record's request.
pub fn is_denied(record: &AccessRecord) -> bool {
    record.spec.outcome == Some(RequestOutcome::Denied)
}

fn over_at(record: &AccessRecord) -> Option<Time> {
    record.spec.end.as_ref().map(|end| end.at.clone())
}

/// When only the existence of this record is of interest. A denial is shown to later approvers, and
/// all others are counted for a day.
pub(super) fn settled_at(record: &AccessRecord, end: &EndRecord) -> Option<Timestamp> {
    (!is_denied(record)).then(|| later(end.at.0, A_DAY))
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
        is_denied(record) && (&denied.account, &denied.item.id) == (&terms.account, &terms.item.id)
    };
    let of_this = seen.unlent.iter().filter(is_of_this);
    let mut earlier: Vec<_> = of_this
        .filter_map(|record| {
            Some(EarlierDenial {
                at: over_at(record)?,
                outcome: record.spec.outcome?,
            })
        })
        .collect();
    earlier.sort_by_key(|denial| std::cmp::Reverse(denial.at.0));
    earlier.truncate(SHOWN);
    earlier
}
