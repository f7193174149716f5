//! The entry point: what to do about one loan now.

use jiff::Timestamp;

use super::case::Case;
use super::effect::Plan;
use super::observed::Observed;
use super::{denial, ended_loan, loan, request};

/// Decides about a loan. Without a record it is a request; with one, the record says how far the
/// loan has got.
pub fn plan(seen: &Observed, now: Timestamp) -> Plan {
    match Case::of(seen, now) {
        Case::Request(request) => request::plan(&request),
        Case::Running(loan, request) => loan::plan(&loan, &request),
        Case::Abandoned(loan) => loan::of_deleted_request(&loan),
        Case::Ended(loan, Some(request)) => ended_loan::plan(&loan, &request),
        Case::Ended(loan, None) => ended_loan::without_request(&loan),
        Case::Denied(record, request) => denial::plan(record, &request),
        Case::History(request) => ended_loan::of_history(&request),
        Case::Gone(request) => denial::of_deleted_request(request.as_ref()),
        Case::Nothing => Plan::default(),
    }
}
