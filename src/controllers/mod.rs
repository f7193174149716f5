//! The controllers: each observes, has the plan decide, does at most one thing, and says how it stands.

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
