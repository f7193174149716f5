//! Decides what happens next from the observed state and the time: no clients, no clock, no I/O.
//!
//! [`grant::plan`] looks at one loan and returns at most one action, the status, and the time of
//! the next look. It is total: odd input becomes a condition, never an error.

pub mod alike;
pub mod approval;
pub mod boundary;
mod canonical;
mod case;
pub mod closed_request;
pub mod conditions;
pub mod coverage;
mod deadline;
pub mod delivery;
pub mod digest;
pub mod effect;
pub mod ended_loan;
pub mod events;
pub mod flow;
pub mod grant;
pub mod integration;
pub mod inventory;
pub mod items;
pub mod loan;
pub mod notifier;
pub mod observed;
pub mod people;
pub mod queue_position;
pub mod quota;
pub mod reasons;
pub mod record;
pub mod request;
mod request_outcome;
pub mod request_state;
mod resolve;
pub mod secret_claim;
pub mod selection;
mod stall;
pub mod status;
pub mod terms;
pub mod timeframe;
pub mod timeline;
pub mod titles;
pub mod unlent;
pub mod validity;
pub mod vaults;
mod vetting;
