//! The options of every account: its bounds, its way out, and the clock.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::network::NetworkSettings;

/// The core's source of time.
pub type UnixClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The bounds of every account, and its way out.
#[derive(Debug, Clone)]
pub struct CoreOptions {
    /// A whole call: waiting for earlier calls on the same account, signing in, all requests.
    pub call_timeout: Duration,
    /// One HTTP exchange, from connecting to the last byte.
    pub exchange_timeout: Duration,
    /// Making a connection to 1Password, and one to a proxy.
    pub connect_timeout: Duration,
    /// The largest answer, in bytes; a vault's list and an item come in one answer each.
    pub max_response: usize,
    /// The core's memory, and again its heap on the host's side, in bytes.
    pub max_memory: usize,
    /// CPU time of one call. Signing in takes half a second of it on a usual machine.
    pub cpu_time: Duration,
    /// How long an unused client stays signed in.
    pub idle_timeout: Duration,
    /// The proxy to 1Password, and the authorities that are trusted.
    pub network: NetworkSettings,
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
            network: NetworkSettings::default(),
        }
    }
}
