//! The adapter: hosts 1Password's own SDK core, which is WebAssembly, and performs its HTTP.
//!
//! * [`artifact`]: the compiled core as a file, pinned and loaded; `dev/core` makes it.
//! * `sandbox`: one instance of it, with caps on memory and CPU time; `ticker` is the clock behind the latter.
//! * `abi` and `heap`: what the core finds outside.
//! * `egress`: the only way out, to the token's own origin.
//! * `client`: the port's account: signs in, asks, drops what broke or idles.
//!
//! The core is not trusted with more than its token: what it says is checked, what it asks for is bounded, and if it
//! breaks only its own integration notices.

mod abi;
pub mod artifact;
mod client;
mod egress;
mod heap;
mod sandbox;
mod silence;
mod ticker;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use wasmtime::InstancePre;

pub use artifact::{ArtifactError, CompiledCore};
pub use sandbox::engine_config;

use super::{Accounts, OnePassword, ServiceAccountToken};
use client::Account;
use ticker::Ticker;

/// The core's source of time.
pub type UnixClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The bounds of every account.
#[derive(Debug, Clone)]
pub struct CoreOptions {
    /// A whole call: waiting for earlier calls on the same account, signing in, all requests.
    pub call_timeout: Duration,
    /// One HTTP exchange, from connecting to the last byte.
    pub exchange_timeout: Duration,
    /// Making a connection.
    pub connect_timeout: Duration,
    /// The largest answer, in bytes; a vault's list and an item come in one answer each.
    pub max_response: usize,
    /// The core's memory, and again its heap on the host's side, in bytes.
    pub max_memory: usize,
    /// CPU time of one call. Signing in takes half a second of it on a usual machine.
    pub cpu_time: Duration,
    /// How long an unused client stays signed in.
    pub idle_timeout: Duration,
}

impl Default for CoreOptions {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(30),
            exchange_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
            max_response: 16 << 20,
            max_memory: 64 << 20,
            cpu_time: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(10 * 60),
        }
    }
}

/// Creates accounts that run the core, each in a sandbox of its own.
pub struct CoreAccounts {
    shared: Arc<Shared>,
}

/// The parts that all accounts share.
struct Shared {
    core: InstancePre<abi::Host>,
    ticker: Ticker,
    http: reqwest::Client,
    options: CoreOptions,
    clock: UnixClock,
}

/// The reason why the host of the core could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The core needs something from its host that this one does not have.
    #[error("the core does not fit this program: {0}")]
    Unfit(wasmtime::Error),
    /// There is no HTTP client.
    #[error("{0}; are the system's root certificates installed?")]
    Http(egress::ClientError),
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
            http: egress::client(&options).map_err(CoreError::Http)?,
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
