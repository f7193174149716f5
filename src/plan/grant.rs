//! The entry point: what to do about one loan now.

use jiff::Timestamp;

use super::effect::Plan;
use super::observed::Observed;
use super::record::About;
use super::{denial, ended, loan, request};

/// Decides about a loan. Without a record it is a request; with one, the record says how far the
/// loan has got.
pub fn plan(seen: &Observed, now: Timestamp) -> Plan {
    match (&seen.grant, seen.record.as_deref().map(About::of)) {
        (_, Some(About::Denial(record))) => denial::plan(seen, record, now),
        (_, Some(About::Loan(record))) if record.spec.end.is_some() => {
            ended::plan(seen, record, now)
        }
        (_, Some(About::Loan(record))) => loan::plan(seen, record, now),
        (Some(grant), None) if seen.history => ended::of_history(grant, now),
        (None, None) if seen.history => Plan::default(),
        (Some(grant), None) => request::plan(seen, grant, now),
        (None, None) => denial::of_one_that_is_gone(seen, now),
    }
}
