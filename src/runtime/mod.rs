//! What the rooms above run on: the clock, supervised tasks, passes over objects.

mod clock;
mod fair_queue;
mod tasks;
mod work_queue;

pub use clock::Clock;
pub use fair_queue::FairQueue;
pub use tasks::{Supervisor, TaskError, Tasks};
pub use work_queue::{Class, Outcome, PassPanicked, Urgency, WorkQueue};
