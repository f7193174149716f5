//! The base of the operator's other rooms: the clock, supervised tasks, the work queue of passes
//! over objects, and the queue of what is delivered in the background.

mod clock;
mod fair_queue;
mod outbox;
mod tasks;
mod work_queue;

pub use clock::Clock;
pub use fair_queue::FairQueue;
pub use outbox::Outbox;
pub use tasks::{Supervisor, TaskError, Tasks};
pub use work_queue::{Class, Outcome, PassPanicked, Urgency, WorkQueue};
