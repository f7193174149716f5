//! Which replica leads, by the lease.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use keyloan_cluster::{OPERATOR_NAMESPACE, wait_until};
use kube::{Api, Client};

use crate::operators::{LEASE, Operators};

/// The time limit for a replica to take the lead: the lease expires after 10 s, and a busy machine
/// takes its time for a start.
const LEADS_WITHIN: Duration = Duration::from_secs(90);

/// The lease.
pub struct Lead(Api<Lease>);

impl Lead {
    /// As the administrator sees it.
    pub fn new(admin: &Client) -> Self {
        Self(Api::namespaced(admin.clone(), OPERATOR_NAMESPACE))
    }

    /// The identity of the leader, if there is one.
    pub async fn holder(&self) -> Option<String> {
        self.seen().await.map(|(holder, _)| holder)
    }

    /// Waits until a replica that runs has taken or renewed the lease since this time; returns how
    /// long after this time that was.
    pub async fn until_held(
        &self,
        operators: &mut Operators,
        since: Timestamp,
    ) -> Result<Duration> {
        let held = async || {
            // A failure to start one is not hidden: nobody then leads.
            operators.look_after().ok()?;
            let (holder, renewed) = self.seen().await?;
            let leads = renewed > since && operators.has(&holder);
            leads.then(|| renewed.duration_since(since))
        };
        let after = wait_until("a replica leads", LEADS_WITHIN, held).await?;
        Ok(after.try_into().unwrap_or_default())
    }

    async fn seen(&self) -> Option<(String, Timestamp)> {
        let spec = self.0.get(LEASE).await.ok()?.spec?;
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty())?;
        Some((holder, spec.renew_time?.0))
    }
}
