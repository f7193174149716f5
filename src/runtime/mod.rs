//! The operator as a process: its clock, its supervised tasks, its passes over objects, and how all of it is started.
//!
//! [`start`] runs an operator within any process, so that tests need no other one; the `keyloan run` command adds
//! arguments, logs and signals.

mod clock;
mod health;
mod operator;
mod passes;
mod settings;
mod tasks;

pub use clock::Clock;
pub use health::ListenError;
pub use operator::{Running, StartError, start};
pub use passes::{Outcome, PassPanicked, Passes};
pub use settings::{Election, Settings};
pub use tasks::{Supervisor, TaskError, Tasks};
