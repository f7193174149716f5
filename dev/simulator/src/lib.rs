//! A simulated 1Password service. It speaks the wire protocol that the official SDK core speaks,
//! verifies everything that the real service verifies, and injects faults on request.
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
//! Inside, each request passes `gate`, and `routes` answers it from `directory`, `session` and
//! `share`. `control` steers all of this from outside and, with `recipient`, plays the person who
//! opens a link. The simulator listens only on the loopback interface, and holds nothing that is
//! worth protecting.
//!
//! # Assumptions about the real service
//!
//! The protocol was learned from the core, which does not answer the following questions. Only a
//! real account can settle them.
//!
//! * A session ends after half an hour without a request ([`Options::session_lifetime`]).
//! * A revoked token is refused with 401, at `auth/start` and in sessions that it opened before.
//! * A vault that exists but cannot be reached is answered with 403, one that does not exist with
//!   404. Without the right to share, the share policy already returns 403.
//! * A share that the policy forbids is answered with 400; sharing a version of the item other than
//!   the service's is answered with 409.
//! * Sign-ins do not count against the request limits, and a 429 carries `Retry-After`.
//! * Links have the form `<service>/s#<secret>`. The requests of a viewer's browser to the service
//!   are invented.
//! * Only viewers who were shown the share count as views, and addresses are compared
//!   case-insensitively.
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
