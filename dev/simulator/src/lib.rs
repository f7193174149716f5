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
//!
//! # What is assumed of the true service
//!
//! The protocol was learnt from the core, which says nothing about these; only an account at 1Password can settle them.
//!
//! * A session ends after half an hour without a request ([`Options::session_lifetime`]).
//! * A revoked token is refused with 401, at `auth/start` and in sessions that it opened before.
//! * A vault that exists but is out of reach is 403, one that does not exist 404. Without the right to share, the share
//!   policy is 403 already.
//! * What the share policy forbids is 400; sharing another version of the item than the service has is 409.
//! * Sign-ins do not count against the request limits, and a 429 carries `Retry-After`.
//! * Links have the form `<service>/s#<secret>`. What a viewer's browser asks of the service is made up.
//! * Of a share's viewers, only those who were shown it count as views, and addresses are compared without regard to case.
//! * Times of vaults and items are in whole seconds.

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
