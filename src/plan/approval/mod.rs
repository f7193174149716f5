//! Approval: the required approvals, the decisions that count, and the approvals that are missing.

mod agreed;
mod ignored;
mod people;
mod places;
mod tally;
mod waiting;
mod weigh;

pub use agreed::{agreed, shortfall};
pub use ignored::{AtLast, ignored, ignored_at_last};
pub(super) use weigh::SHOWN;
pub use weigh::{Standing, Weighed, revocation, weigh, weigh_approvals, withdrawal};

use jiff::SignedDuration;

use crate::api::{CountedDecision, Decision, Terms};

/// The duration of the loan: the agreed one, or the shortest one that an approval allows.
pub fn duration(terms: &Terms, decisions: &[CountedDecision]) -> SignedDuration {
    let shortened = decisions
        .iter()
        .filter(|d| d.decision == Decision::Approve)
        .filter_map(|d| d.max_duration.as_ref()?.parse());
    let agreed = terms.duration.parse();
    // An unreadable duration counts as the shortest loan.
    let agreed = agreed.unwrap_or(SignedDuration::from_hours(1));
    shortened.fold(agreed, SignedDuration::min)
}
