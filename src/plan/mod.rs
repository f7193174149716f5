//! Decides what happens next from the observed state and the time: no clients, no clock, no I/O.
//!
//! [`grant::plan`] looks at one loan and returns at most one action, the status, and the time of
//! the next look. It is total: odd input becomes a condition, never an error.

pub mod alike;
pub mod approval;
pub mod boundary;
mod canonical;
pub mod conditions;
pub mod coverage;
pub mod denial;
pub mod digest;
pub mod effect;
pub mod ended;
mod first_link;
pub mod flow;
pub mod grant;
mod held_up;
pub mod in_line;
pub mod integration;
pub mod inventory;
pub mod items;
pub mod leftover;
pub mod links;
pub mod loan;
mod next_link;
pub mod observed;
pub mod over;
mod patience;
pub mod people;
pub mod quota;
pub mod reasons;
pub mod record;
pub mod request;
mod resolve;
pub mod retry;
pub mod selection;
pub mod status;
pub mod terms;
pub mod timeframe;
pub mod titles;
pub mod validity;
pub mod vaults;
mod vetting;
