//! The entry point: what to do about one loan now.

use jiff::Timestamp;

use crate::api::AccessRecord;

use super::case::Case;
use super::effect::{Effect, Plan};
use super::events::{self, LoanEvent};
use super::observed::Observed;
use super::{ended_loan, loan, request, unlent};

/// Decides about a loan. Without a record it is a request; with one, the record says how far the
/// loan has got.
pub fn plan(seen: &Observed, now: Timestamp) -> Plan {
    let case = Case::of(seen, now);
    let plan = decide(&case);
    Plan {
        events: events_of(&plan, &case, seen).into_iter().collect(),
        ..plan
    }
}

fn decide(case: &Case<'_>) -> Plan {
    match case {
        Case::Request(request) => request::plan(request),
        Case::Running(loan, request) => loan::plan(loan, request),
        Case::Abandoned(loan) => loan::of_deleted_request(loan),
        Case::Ended(loan, Some(request)) => ended_loan::plan(loan, request),
        Case::Ended(loan, None) => ended_loan::without_request(loan),
        Case::Unlent(record, request) => unlent::plan(record, request),
        Case::History(request) => ended_loan::of_history(request),
        Case::Gone(request) => unlent::of_deleted_request(request.as_ref()),
        Case::Nothing => Plan::default(),
    }
}

/// The status of a request shows what happens with it. Once the request is gone, only the loan's
/// record does.
fn events_of(plan: &Plan, case: &Case<'_>, seen: &Observed) -> Option<LoanEvent> {
    match (case, &plan.effect, &plan.status, &seen.grant) {
        (Case::Abandoned(loan), Some(Effect::EndLoan(end)), ..) => {
            let record = AccessRecord {
                spec: end.applied(&loan.record.spec),
                ..loan.record.clone()
            };
            events::of_ended_record(record)
        }
        (_, _, Some(status), Some(grant)) => events::of_status(grant, status),
        _ => None,
    }
}
