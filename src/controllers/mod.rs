//! The controllers: each observes, lets the plan decide, takes at most one action, and writes the
//! status.

mod answers;
pub mod boundary;
pub mod decision;
pub mod flow;
pub mod gauges;
pub mod integration;
pub mod loan;
pub mod loan_events;
pub mod notices;
pub mod quota_store;
mod quotas;
mod rate_limit;
pub mod registry;
mod session;
mod single_flight;
pub mod sweep;

pub use quotas::Quotas;
