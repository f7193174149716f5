//! The controllers: each observes, has the plan decide, does at most one thing, and says how it stands.

pub mod boundary;
mod conversions;
pub mod decision;
pub mod flow;
pub mod integration;
pub mod loan;
pub mod quota_store;
mod quotas;
mod rate_limit;
pub mod registry;
mod session;
mod single_flight;
pub mod sweep;

pub use quotas::Quotas;
