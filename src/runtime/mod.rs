//! What the rooms above run on: the clock, supervised tasks, passes over objects.

mod clock;
mod passes;
mod tasks;

pub use clock::Clock;
pub use passes::{Outcome, PassPanicked, Passes};
pub use tasks::{Supervisor, TaskError, Tasks};
