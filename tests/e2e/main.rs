//! Loans from end to end on real parts: the API server, the SDK core, the operator; only 1Password is simulated.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod approval;
mod attacks;
mod backup;
mod bad_input;
mod chart;
mod crash_points;
mod faults;
mod history;
mod installs;
mod leak;
mod limits;
mod loan;
mod night_hours;
mod notices;
mod observability;
mod odd_items;
mod people;
mod place;
mod plugin;
#[path = "../support/private_server.rs"]
mod private_server;
#[path = "../support/private_tls.rs"]
mod private_tls;
#[path = "../support/receiver.rs"]
#[allow(dead_code, reason = "other tests have it hang")]
mod receiver;
mod releases;
mod shares;
mod stops;
mod strangers;
mod sweep;
mod troubles;
mod upgrade;
mod weak_api_server;
mod world;
