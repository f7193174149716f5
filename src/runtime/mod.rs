//! The base of whatever acts: the clock, supervised tasks, the work queue of passes over objects,
//! and a bounded HTTP server.

mod clock;
mod fair_queue;
#[cfg(feature = "http-server")]
pub mod http_server;
mod tasks;
mod work_queue;

pub use clock::Clock;
pub use fair_queue::FairQueue;
pub use tasks::{Supervisor, TaskError, Tasks};
pub use work_queue::{Class, Outcome, PassPanicked, Urgency, WorkQueue};
