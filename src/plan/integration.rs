//! What to do about one integration now: whether to list its vaults anew, what its status should say, when to look again.
//!
//! Nothing polls. Vaults and items are listed when the operator starts, when the token or the allow-list changes, and
//! after each `discoveryInterval`; what fails is tried again ever more slowly, and a refused token not at all.

mod credentials;
mod schedule;
mod seen;
mod status;
mod verdict;

use jiff::Timestamp;

use crate::api::OnePasswordIntegrationStatus;

use super::conditions;
use super::effect::Note;

pub use schedule::retry_at;
pub use seen::{
    Discovery, Failure, FailureKind, Findings, Observed, SessionSeen, TokenClaim, TokenSeen,
    token_claim,
};
pub use status::SKEW_TOLERANCE;

/// What to do about one integration now.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The one thing to do, if any.
    pub effect: Option<Effect>,
    /// What the status should say.
    pub status: OnePasswordIntegrationStatus,
    /// When to look again if nothing happens before.
    pub wake: Option<Timestamp>,
    /// What to tell people: one event each.
    pub notes: Vec<Note>,
}

/// One effect on the world outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sign in if need be, and list the vaults, their items, and the share policy.
    Discover,
    /// Give up a listing that is under way: it is not wanted any more.
    GiveUpDiscovery,
}

/// Decide.
pub fn plan(seen: &Observed<'_>, now: Timestamp) -> Plan {
    let due = schedule::discovery_due(seen, now);
    let unwanted = due == schedule::Due::Never && seen.discovering;
    let effect = match due {
        schedule::Due::Now if !seen.discovering => Some(Effect::Discover),
        _ if unwanted => Some(Effect::GiveUpDiscovery),
        _ => None,
    };
    let status = status::status(seen, now);
    let before = seen
        .integration
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.conditions);
    let notes = conditions::notes(before, &status.conditions, status::is_warning);
    let notes = notes
        .into_iter()
        .filter(|note| status::is_worth_an_event(&note.reason));
    Plan {
        effect,
        wake: schedule::wake(seen, due, now),
        notes: distinct(notes),
        status,
    }
}

/// Several conditions may turn for one reason: people hear of it once.
fn distinct(notes: impl Iterator<Item = Note>) -> Vec<Note> {
    let mut told: Vec<Note> = Vec::new();
    for note in notes {
        if !told.iter().any(|earlier| earlier.reason == note.reason) {
            told.push(note);
        }
    }
    told
}

#[cfg(test)]
mod tests;
