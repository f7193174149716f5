//! Approval: who has to agree by the terms, whose decisions count, and what is still missing.

mod agreed;
mod people;
mod places;
mod tally;
mod unheeded;
mod waiting;
mod weigh;

pub use agreed::{agreed, shortfall};
pub use unheeded::{AtLast, unheeded, unheeded_at_last};
pub(super) use weigh::SHOWN;
pub use weigh::{Standing, Weighed, revocation, weigh, withdrawal};

use jiff::SignedDuration;

use crate::api::{CountedDecision, Decision, Terms};

/// How long a loan lasts: as agreed, or as long as the approval that shortened it most allows.
pub fn duration(terms: &Terms, decisions: &[CountedDecision]) -> SignedDuration {
    let shortened = decisions
        .iter()
        .filter(|d| d.decision == Decision::Approve)
        .filter_map(|d| d.max_duration.as_ref()?.parse());
    let agreed = terms.duration.parse();
    // What cannot be read counts as the shortest loan.
    let agreed = agreed.unwrap_or(SignedDuration::from_hours(1));
    shortened.fold(agreed, SignedDuration::min)
}
