//! The simulated service's state, shared by all its routes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::Options;
use crate::account::Account;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::encoding::Seed;
use crate::faults::Faults;
use crate::log::Log;
use crate::quota::Quotas;
use crate::session::Sessions;
use crate::share::Shares;

/// One simulated service.
pub struct Service {
    /// `http://127.0.0.1:PORT`
    pub origin: String,
    /// The service's own clock.
    pub clock: Clock,
    /// The source of ids and keys.
    pub seed: Seed,
    /// Whether request limits are enforced.
    pub enforce_quotas: bool,
    state: Mutex<State>,
}

/// The mutable state.
pub struct State {
    /// The account.
    pub directory: Directory,
    /// The signed-in clients.
    pub sessions: Sessions,
    /// The shares.
    pub shares: Shares,
    /// The configured faults.
    pub faults: Faults,
    /// The requests so far.
    pub log: Log,
    /// The request counts.
    pub quotas: Quotas,
}

impl Service {
    /// A service for a checked account.
    pub fn new(origin: String, account: Account, options: &Options) -> Self {
        let clock = Clock::default();
        let seed = Seed::new(options.seed.as_deref());
        let directory = Directory::new(account, &seed, clock.now());
        let state = State {
            directory,
            sessions: Sessions::new(options.session_lifetime),
            shares: Shares::default(),
            faults: Faults::default(),
            log: Log::default(),
            quotas: Quotas::default(),
        };
        let enforce_quotas = options.enforce_quotas;
        Self {
            origin,
            clock,
            seed,
            enforce_quotas,
            state: Mutex::new(state),
        }
    }

    /// Locks the state for a short time: never held across an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
