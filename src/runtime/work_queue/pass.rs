//! One pass: how urgent it is, whose, and how it ends.

use jiff::Timestamp;

/// How urgent a pass is: the first is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Urgency {
    /// Something is to end.
    Ending,
    /// Something was begun that cannot be taken back.
    HandOver,
    /// Something that runs is to go on.
    Renewal,
    /// What was begun with goes on.
    Begun,
    /// Somebody asks for something.
    Request,
    /// Nothing is due: the object is only looked at now and then.
    Routine,
}

impl Urgency {
    /// Whether there are places for it that others do not take.
    pub(super) fn cannot_wait(self) -> bool {
        self <= Self::HandOver
    }
}

/// How urgent an object's pass is, and whose it is: passes of the same urgency go round by owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// How urgent.
    pub urgency: Urgency,
    /// Whose.
    pub owner: String,
}

impl Class {
    /// Of this urgency, and of nobody in particular.
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
    /// Something was done: the world is another one, look again at once.
    Applied,
    /// Nothing to do until then, or until something changes.
    Waiting(Option<Timestamp>),
    /// It could not be done; look again after a while.
    Failed,
    /// The object is gone and nothing is left to do: forget it.
    Gone,
}

impl Outcome {
    /// The word for it in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Waiting(_) => "waiting",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }
}
