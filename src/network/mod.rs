//! The way out of the cluster, to 1Password and to the receivers of notices: through which proxy, to
//! which addresses, and which certificate authorities are trusted.
//!
//! * [`proxy`]: which proxy leads to a destination. For the API server, the same rules hold.
//! * `settings`: what the operator is told about the way out, and the files that it names.
//! * `connector`: makes a connection, by a tunnel if a proxy leads to the destination, or says why
//!   there is none. `trust` judges the certificates.
//! * `guarded`: the same for hosts that others than the administrator name: only to the public
//!   internet (`address`) and to what the settings allow (`allowed`).
//! * `client`: an HTTP client with all of this, which follows changes of the files.

pub mod proxy;

#[cfg(feature = "operator")]
mod address;
#[cfg(feature = "operator")]
mod allowed;
#[cfg(feature = "operator")]
mod client;
#[cfg(feature = "operator")]
mod connector;
#[cfg(feature = "operator")]
mod guarded;
#[cfg(feature = "operator")]
mod settings;
#[cfg(feature = "operator")]
mod trust;

#[cfg(feature = "operator")]
pub use allowed::{AllowedHosts, AllowedHostsError, NotAllowed};
#[cfg(feature = "operator")]
pub use client::{Clients, GuardedClient, HttpClient};
#[cfg(feature = "operator")]
pub use connector::{Hindrance, Unconnected, Unreached, Wire};
#[cfg(feature = "operator")]
pub use guarded::{GuardedConnector, NoConnection};
#[cfg(feature = "operator")]
pub use settings::{NetworkError, NetworkSettings};
