//! What to do about one loan now.

use jiff::Timestamp;

use super::effect::Plan;
use super::observed::Observed;
use super::{ended, loan, request};

/// Decide. The record, once there is one, says how far the loan has got; before that, it is a request.
pub fn plan(seen: &Observed, now: Timestamp) -> Plan {
    match (&seen.grant, &seen.record) {
        (_, Some(record)) if record.spec.end.is_some() => ended::plan(seen, record, now),
        (_, Some(record)) => loan::plan(seen, record, now),
        (Some(grant), None) => request::plan(seen, grant, now),
        (None, None) => Plan::default(),
    }
}
