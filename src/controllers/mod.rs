//! The controllers: each observes, lets the plan decide, takes at most one action, and writes the
//! status.

mod answers;
pub mod boundary;
pub mod decision;
pub mod flow;
pub mod integration;
mod listing;
pub mod loan;
mod quotas;
pub mod registry;
mod session;
pub mod sweep;
mod turns;
pub mod usage;

pub use quotas::Quotas;
