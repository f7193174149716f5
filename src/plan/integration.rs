//! What to do about one integration now: whether to list its vaults again, its status, and the time
//! of the next look.
//!
//! Nothing polls. The operator lists vaults and items when it starts, when the token or the
//! allow-list changes, and after each `discoveryInterval`. It retries failures with growing delays,
//! and a refused token not at all.

mod credentials;
mod schedule;
mod seen;
mod status;
mod verdict;

use jiff::Timestamp;

use crate::api::OnePasswordIntegrationStatus;

use super::conditions::{self, Note};

pub use schedule::{expires_at, retry_at};
pub use seen::{Discovery, Failure, FailureKind, Findings, Observed, SessionSeen, TokenSeen};
pub use status::SKEW_TOLERANCE;

/// What to do about one integration now.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The next action, if any.
    pub effect: Option<Effect>,
    /// The status.
    pub status: OnePasswordIntegrationStatus,
    /// The time of the next look if nothing happens before.
    pub wake: Option<Timestamp>,
    /// Notes for people: one event each.
    pub notes: Vec<Note>,
}

/// One effect on the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sign in if necessary, and list the vaults, their items, and the share policy.
    Discover,
    /// Give up a running listing that is no longer wanted.
    GiveUpDiscovery,
}

/// Decides about an integration.
pub fn plan(seen: &Observed<'_>, now: Timestamp) -> Plan {
    let due = schedule::discovery_due(seen, now);
    let unwanted = due == schedule::Due::Never && seen.discovering;
    let effect = match due {
        schedule::Due::Now if !seen.discovering => Some(Effect::Discover),
        _ if unwanted => Some(Effect::GiveUpDiscovery),
        _ => None,
    };
    let (status, stalls_at) = status::status(seen, now);
    let before = seen
        .integration
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.conditions);
    let notes = conditions::notes(before, &status.conditions, status::is_warning);
    let notes = notes
        .into_iter()
        .filter(|note| status::is_worth_an_event(&note.reason));
    let wakes = [schedule::wake(seen, due, now), stalls_at];
    Plan {
        effect,
        wake: wakes.into_iter().flatten().min(),
        notes: distinct(notes),
        status,
    }
}

/// Several conditions may change for one reason: people receive one event.
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
