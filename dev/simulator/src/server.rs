//! Starting and stopping a simulator: a listener on the loopback, served by threads of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use tokio::runtime::Runtime;

use crate::account::{Account, AccountError};
use crate::connection::{Listener, Switch};
use crate::control::{self, Control, ControlError};
use crate::service::Service;
use crate::{gate, routes};

/// The settings of a simulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on, which must be on the loopback. Default: a free port of 127.0.0.1.
    pub listen: SocketAddr,
    /// With a seed, the same account file gives the same ids, keys and tokens after a restart. Default: fresh ones.
    pub seed: Option<String>,
    /// Whether the plan's request limits are enforced. Default: yes.
    pub enforce_quotas: bool,
    /// How long a session lasts without a request. The real service's value is not known. Default:
    /// half an hour.
    pub session_lifetime: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            seed: None,
            enforce_quotas: true,
            session_lifetime: Duration::from_secs(30 * 60),
        }
    }
}

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is reachable from other machines.
    #[error("{0} is not on the loopback; listen on 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
    /// The account is invalid.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The address is in use, or the system lacks resources.
    #[error("cannot listen on {address}: {source}; use port 0 for a free one")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The client for the control API could not be created.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// A running simulator. Dropping it stops it and closes its connections.
pub struct Simulator {
    control: Control,
    runtime: Option<Runtime>,
}

impl Simulator {
    /// Starts a simulator. It has its own threads, so it needs no runtime, and does not slow down
    /// that of a test.
    pub fn start(account: Account, options: Options) -> Result<Self, StartError> {
        if !options.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(options.listen));
        }
        account.check()?;
        let failed = |source| StartError::Listen {
            address: options.listen,
            source,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("simulator")
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener = std::net::TcpListener::bind(options.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let origin = format!("http://{}", listener.local_addr().map_err(failed)?);
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let control = Control::new(&origin)?;
        let service = Arc::new(Service::new(origin, account, &options));
        let router = control::router(&service)
            .merge(routes::router(&service))
            .layer(from_fn_with_state(service, gate::date))
            .into_make_service_with_connect_info::<Switch>();
        // Serving never ends by itself; dropping the runtime ends it.
        runtime.spawn(async move { axum::serve(Listener(listener), router).await });
        Ok(Self {
            control,
            runtime: Some(runtime),
        })
    }

    /// `http://127.0.0.1:PORT`, of the API and of the control API.
    pub fn origin(&self) -> String {
        self.control.origin().to_owned()
    }

    /// The client that controls it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A caller that drops a simulator relies on its port being closed. A runtime cannot be waited for inside
            // another one, so a thread does it; what has nothing to wait for but a calculation is not waited for long.
            let stopping = thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(2)));
            // An error would be a panic in that thread, which has been printed.
            let _ = stopping.join();
        }
    }
}
