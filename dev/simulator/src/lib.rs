//! A simulated 1Password service. It speaks the wire protocol of the official SDK core, verifies everything that the real
//! service verifies, and can inject faults.
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
//! Each request passes through `gate`; `routes` answers it from `directory`, `session` and `share`. `control` steers the
//! simulator from outside and, with `recipient`, plays the person who opens a link. The simulator listens only on the
//! loopback, and contains nothing that needs protection.
//!
//! # Assumptions about the real service
//!
//! The protocol is known from the core, which says nothing about the following; only a 1Password account can confirm it.
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
