//! Notifiers: who is told of which step, and what their status says.

mod route;
mod status;

pub use route::{Audience, Destination, Route, routes, tells};
pub use status::{Delivery, Progress, SecretsSeen, status};
