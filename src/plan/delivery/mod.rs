//! How a loan is delivered. The rest of the plan asks what stands here, and does not know what is
//! handed over: a share link, which opens until its end and cannot be taken back.
//!
//! `kind.rs` answers what differs between kinds of delivery. The mechanics are the same for all: an
//! intent in the record, the steps that lead to a Secret, a schedule, and what remains after the
//! loan.

pub mod closing;
pub mod failure;
mod first_link;
mod interrupted;
mod kind;
pub mod links;
mod next_link;
pub mod orphaned_secret;
mod residual;
pub mod share_link;
mod state;
pub mod steps;

pub(super) use first_link::first_link;
pub use interrupted::first_link_until;
pub(super) use interrupted::{end_due, finish};
pub use kind::Delivery;
pub(super) use kind::{DeliveryTerms, agree};
pub(super) use next_link::{Next, next_link};
pub(super) use residual::{last_known_residual, residual_note};
pub(super) use state::{LinkState, link_state, next_look};
