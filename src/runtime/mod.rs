//! What the rooms above run on: the clock, supervised tasks, passes over objects.

mod clock;
mod line;
mod passes;
mod tasks;

pub use clock::Clock;
pub use line::Line;
pub use passes::{Class, Outcome, PassPanicked, Passes, Urgency};
pub use tasks::{Supervisor, TaskError, Tasks};
