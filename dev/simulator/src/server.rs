//! Starts and stops a simulator: a listener on the loopback interface with threads of its own.

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

/// The options of a simulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on; must be on the loopback interface. Default: a free port of
    /// 127.0.0.1.
    pub listen: SocketAddr,
    /// With a seed, the same account file produces the same ids, keys and tokens after a restart.
    /// Default: a fresh seed.
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

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The simulator must not be reachable from other machines.
    #[error("{0} is not on the loopback; listen on 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
    /// The account is invalid.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The address is in use, or the operating system has run out of a resource.
    #[error("cannot listen on {address}: {source}; use port 0 for a free one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The client for the control API could not be created.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// A running simulator. When this is dropped, it stops and closes its connections.
pub struct Simulator {
    control: Control,
    runtime: Option<Runtime>,
}

impl Simulator {
    /// Starts a simulator. It has threads of its own, so it needs no runtime and never slows down
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
        // The server never ends by itself; dropping the runtime ends it.
        runtime.spawn(async move { axum::serve(Listener(listener), router).await });
        Ok(Self {
            control,
            runtime: Some(runtime),
        })
    }

    /// `http://127.0.0.1:PORT`, the origin of the API and of the control API.
    pub fn origin(&self) -> String {
        self.control.origin().to_owned()
    }

    /// A client that controls it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The port must be closed when the drop returns. One runtime cannot wait for another
            // inside it, so a thread waits. The remaining work is only computation, so the wait is
            // short.
            let stopping = thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(2)));
            // An error would be a panic in that thread, which has already been printed.
            let _ = stopping.join();
        }
    }
}
