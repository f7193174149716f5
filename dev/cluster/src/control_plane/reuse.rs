//! Control planes that one test after the other uses: to put back what was stored takes a fraction of a second, to start another
//! one some seconds of both processors.

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use super::etcd::Etcd;
use super::rewind::Snapshot;
use super::{ClusterError, ControlPlane, Options};

/// Those that nobody uses. They end with this process.
static IDLE: Mutex<Vec<Idle>> = Mutex::new(Vec::new());

struct Idle {
    plane: ControlPlane,
    start: Start,
}

/// How a control plane was started, and what was stored then.
struct Start {
    options: Options,
    stored: Snapshot,
}

/// A control plane that somebody has for themselves. One that was [lent](ControlPlane::lend) is used again when this is dropped; unless a
/// panic drops it, because a test that failed may have left anything.
pub struct Lent {
    /// Empty only while it is dropped.
    plane: Option<ControlPlane>,
    /// None for one that is not used again.
    start: Option<Start>,
}

impl From<ControlPlane> for Lent {
    fn from(plane: ControlPlane) -> Self {
        Self {
            plane: Some(plane),
            start: None,
        }
    }
}

impl ControlPlane {
    /// A control plane with these options in which nothing is stored but what [`start`](Self::start) stores: one that was used before,
    /// or a new one.
    ///
    /// Its [history](Self::etcd_dump) and its [audit log](Self::audit_log) begin when it is lent. Whoever signals its programs, or needs
    /// Kubernetes' own kinds to be young, starts one of their own.
    pub async fn lend(options: Options) -> Result<Lent, ClusterError> {
        let failed = |why| ClusterError::Etcd {
            action: "put back what was stored",
            why,
        };
        let Idle { plane, start } = match take(&options) {
            Some(mut idle) => {
                let etcd = Etcd::at(&idle.plane.etcd_endpoint).map_err(failed)?;
                let restored = idle.start.stored.restore(&etcd).await;
                idle.plane.forget_until(restored.map_err(failed)?)?;
                idle
            }
            None => {
                let plane = ControlPlane::start(options.clone()).await?;
                let etcd = Etcd::at(&plane.etcd_endpoint).map_err(failed)?;
                let stored = Snapshot::take(&etcd).await.map_err(failed)?;
                let start = Start { options, stored };
                Idle { plane, start }
            }
        };
        Ok(Lent {
            plane: Some(plane),
            start: Some(start),
        })
    }
}

fn take(options: &Options) -> Option<Idle> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let at = idle
        .iter()
        .position(|idle| idle.start.options == *options)?;
    Some(idle.swap_remove(at))
}

impl Deref for Lent {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        match &self.plane {
            Some(plane) => plane,
            None => unreachable!("it is dropped"),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(plane), Some(start)) = (self.plane.take(), self.start.take())
            && !std::thread::panicking()
        {
            let mut all = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(Idle { plane, start });
        }
    }
}
