//! The operator as a whole: its settings, its start, leader election and health.
//!
//! [`start`] runs an operator within any process, so tests need no other process; the `keyloan run`
//! command adds arguments, logs and signals. [`start_with`] is for programs with their own
//! 1Password.

mod health;
mod settings;
mod start;

pub use settings::{Election, Settings};
pub use start::{Running, STOPS_WITHIN, StartError, start, start_with};
