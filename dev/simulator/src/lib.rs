//! A simulated 1Password service: it speaks the wire protocol that the official SDK core speaks, verifies all that the
//! true one verifies, and can be told what shall go wrong.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use keyloan_simulator::{Account, Fault, FaultKind, Options, Simulator};
//!
//! let account = Account::parse(include_str!("../account.example.yaml"))?;
//! let simulator = Simulator::start(account, Options::default())?;
//! let control = simulator.control();
//! let token = control.token("lender").await?; // give it to the SDK
//! control.fault(Fault::once("POST /api/v4/itemshare", FaultKind::rate_limited(Some(30)))).await?;
//! # Ok(()) }
//! ```
//!
//! Inside, `gate` is what each request passes, `routes` answers it from `directory`, `session` and `share`;
//! `control` steers all of it from outside and, with `recipient`, plays the one who opens a link.
//! It listens on the loopback only, and holds nothing that is worth protecting.

pub mod account;
mod clock;
mod connection;
mod control;
mod credential;
mod crypto;
mod directory;
mod encoding;
mod faults;
mod gate;
mod keyset;
mod log;
mod quota;
mod recipient;
mod refusal;
mod routes;
mod server;
mod service;
mod session;
mod share;
mod srp;

pub use account::{Account, AccountError, SharePolicy};
pub use control::{Control, ControlError, ItemChanges, ItemSummary, ShareSummary, VaultSummary};
pub use faults::{Fault, FaultKind};
pub use log::{RequestEntry, RequestLog};
pub use recipient::{OpenedField, OpenedItem, Reason, Refusal};
pub use server::{Options, Simulator, StartError};
