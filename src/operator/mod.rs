//! The operator, put together: its settings, how all of it is started, who leads, its health.
//!
//! [`start`] runs an operator within any process, so that tests need no other one; the `keyloan run` command adds
//! arguments, logs and signals. [`start_with`] is for programs that bring a 1Password of their own.

mod health;
mod server;
mod settings;
mod start;

pub use health::ListenError;
pub use settings::{Election, Settings};
pub use start::{Running, STOPS_WITHIN, StartError, start, start_with};
