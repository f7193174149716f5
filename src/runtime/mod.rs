//! The base of the operator's other rooms: the clock, supervised tasks, and the work queue of
//! passes over objects.

mod clock;
mod fair_queue;
mod tasks;
mod work_queue;

pub use clock::Clock;
pub use fair_queue::FairQueue;
pub use tasks::{Supervisor, TaskError, Tasks};
pub use work_queue::{Class, Outcome, PassPanicked, Urgency, WorkQueue};
