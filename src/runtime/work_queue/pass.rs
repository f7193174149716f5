//! One pass: its urgency, its owner, and its outcome.

use jiff::Timestamp;

/// The urgency of a pass, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Urgency {
    /// Something has to end.
    Ending,
    /// Something irreversible has begun.
    HandOver,
    /// Something that runs has to continue.
    Renewal,
    /// Work in progress continues.
    Begun,
    /// Somebody requests something.
    Request,
    /// Nothing is due: a routine check of the object.
    Routine,
}

impl Urgency {
    /// Whether it may use slots that others may not.
    pub(super) fn cannot_wait(self) -> bool {
        self <= Self::HandOver
    }
}

/// The urgency and the owner of an object's pass. Passes of the same urgency serve their owners in
/// rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The urgency.
    pub urgency: Urgency,
    /// The owner.
    pub owner: String,
}

impl Class {
    /// With this urgency, and without an owner.
    pub fn of(urgency: Urgency) -> Self {
        Self {
            urgency,
            owner: String::new(),
        }
    }

    pub(super) fn routine() -> Self {
        Self::of(Urgency::Routine)
    }
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The pass changed something: run another one at once.
    Applied,
    /// Nothing to do until this time, or until something changes.
    Waiting(Option<Timestamp>),
    /// The pass failed; retry after a while.
    Failed,
    /// The object is gone and nothing is left to do: forget it.
    Gone,
}

impl Outcome {
    /// The label in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Waiting(_) => "waiting",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }
}
