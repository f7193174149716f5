//! Notifiers: who is told of which step, what their Secrets have to look like, and what their
//! status says.

mod claim;
mod route;
mod status;

pub use claim::{SecretClaim, secret_claim};
pub use route::{Audience, Destination, Route, audiences, routes, tells};
pub use status::{Delivery, Progress, SecretsSeen, status};
