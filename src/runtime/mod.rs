//! The operator as a process: its clock, its supervised tasks, its passes over objects.

mod clock;
mod passes;
mod tasks;

pub use clock::Clock;
pub use passes::{Outcome, PassPanicked, Passes};
pub use tasks::{Supervisor, TaskError, Tasks};
