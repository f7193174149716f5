//! The adapter: hosts 1Password's own SDK core, which is WebAssembly, and performs its HTTP.
//!
//! * [`artifact`]: the compiled core as a file, pinned and loaded; `dev/core` makes it.
//! * `sandbox`: one instance of it, with caps on memory and CPU time; `ticker` is the clock behind the latter.
//! * `abi` and `heap`: what the core finds outside.
//! * `egress`: the only way out, to the token's own origin.
//! * `client`: the port's account: signs in, asks, drops what broke or idles; `options` are the bounds that it is held to.
//!
//! The core is not trusted with more than its token: what it says is checked, what it asks for is bounded, and if it
//! breaks only its own integration notices.

mod abi;
pub mod artifact;
mod client;
mod egress;
#[cfg(fuzzing)]
pub mod fuzzing;
mod heap;
mod options;
mod sandbox;
mod ticker;

use std::sync::Arc;

pub use artifact::{ArtifactError, CompiledCore};
pub use options::{CoreOptions, UnixClock};
pub use sandbox::engine_config;

use super::{Accounts, OnePassword, ServiceAccountToken};
use crate::network::{Clients, NetworkError};
use client::{Account, Shared};
use ticker::Ticker;

/// Creates accounts that run the core, each in a sandbox of its own.
pub struct CoreAccounts {
    shared: Arc<Shared>,
}

/// The reason why the host of the core could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The core needs something from its host that this one does not have.
    #[error("the core does not fit this program: {0}")]
    Unfit(wasmtime::Error),
    /// There is no way out.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// There is no thread.
    #[error("cannot start the thread that interrupts the core: {0}")]
    Thread(std::io::Error),
}

impl CoreAccounts {
    /// Prepares the core once, for any number of accounts.
    pub fn new(
        core: &CompiledCore,
        options: CoreOptions,
        clock: UnixClock,
    ) -> Result<Self, CoreError> {
        let shared = Shared {
            core: sandbox::prepare(&core.module).map_err(CoreError::Unfit)?,
            ticker: Ticker::start(core.module.engine().clone()).map_err(CoreError::Thread)?,
            network: Clients::new(&options.network, options.connect_timeout)?,
            options,
            clock,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl Accounts for CoreAccounts {
    fn connect(&self, token: ServiceAccountToken) -> Arc<dyn OnePassword> {
        Arc::new(Account::new(self.shared.clone(), token))
    }
}
