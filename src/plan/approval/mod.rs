//! Approval: who may decide on a request, which decisions count, and which approvals are missing.

mod agreed;
mod approvers;
mod ignored;
mod tally;
mod vote;
mod weigh;

pub use agreed::{agreed, duration};
pub use approvers::{Approvers, Group, Ineligible, is_named, name_of};
pub(super) use ignored::SHOWN;
pub use ignored::{AtLast, ignored, ignored_at_last};
pub use weigh::{Standing, Weighed, revocation, weigh, weigh_approvals, withdrawal};
