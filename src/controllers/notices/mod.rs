//! Tells what happens to requests and loans: to the audit log, and to the receivers of notifiers.
//!
//! * [`journal`]: derives the steps of each request and loan from its objects as they change, and
//!   hands those that are new on.
//! * [`integrations`]: tells the audit log about tokens and the boundary.
//! * `objects`: the objects of requests and loans, which both look at.
//! * `parcel`: the messages by which a notifier tells a step.
//! * `line`: the notices of one `notifier` that wait, in order, and which were told.
//! * [`notifiers`]: looks after each notifier, its Secrets and its status. [`delivery`] is the task
//!   that sends what waits, in which `holds` says who has to wait after a failure; `secrets` reads
//!   where to.
//!
//! Nothing here writes to a request, a loan or a record, and no pass over them waits for it.

pub mod delivery;
mod holds;
pub mod integrations;
pub mod journal;
mod line;
mod notifier;
pub mod notifiers;
mod objects;
mod parcel;
mod secrets;
