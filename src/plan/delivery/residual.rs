//! What may still open after a loan, as far as a request's status knows.

use jiff::{SignedDuration, Timestamp};

use crate::plan::case::Request;

use super::kind::Delivery;
use super::links::latest_end;

/// The time until which a link may still open, as far as the status knows. No link outlives its
/// loan.
pub fn last_known_residual(request: &Request<'_>) -> Option<Timestamp> {
    let (status, now) = (request.status, request.now);
    let said = status.residual_until.as_ref().map(|t| t.0);
    let delivery = status.terms.as_ref().map(Delivery::of);
    if delivery.is_some_and(|delivery| !delivery.outlives_its_secret()) {
        return None;
    }
    let known = match (&status.ended_at, &status.granted_at, &status.terms) {
        _ if said.is_some() => said,
        (Some(_), _, _) => None,
        (None, Some(_), _) => {
            let link = status.link.as_ref().map(|link| link.expires_at.0);
            link.max(status.expires_at.as_ref().map(|t| t.0))
        }
        // The first link was being issued and may have been started just now.
        (None, None, Some(terms)) => {
            let longest = Delivery::of(terms).ceiling(terms);
            Some(latest_end(now, longest, SignedDuration::ZERO))
        }
        (None, None, None) => None,
    };
    known.filter(|until| *until > now)
}

/// The sentence about a link that may open although the loan is over.
pub fn residual_note(until: Timestamp) -> String {
    format!(
        "an issued link may still open until {until:.0}: to cut off access now, change the item's \
         secret in 1Password"
    )
}
