//! The base of everything that acts: the clock, supervised tasks, the work queue of passes over
//! objects, the queue of what is delivered in the background, and a bounded HTTP server.

mod clock;
mod fair_queue;
#[cfg(feature = "http-server")]
pub mod http_server;
mod outbox;
mod tasks;
mod work_queue;

pub use clock::Clock;
pub use fair_queue::FairQueue;
pub use outbox::Outbox;
pub use tasks::{Supervisor, TaskError, Tasks};
pub use work_queue::{Class, Outcome, PassPanicked, Urgency, WorkQueue};
