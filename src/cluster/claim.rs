//! Each links namespace belongs to one install. A Lease in it names the install, and is held
//! permanently.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable as _};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::ObjectMeta;

use super::errors::{ApiError, ApiErrorKind};
use super::{Cluster, Key};

/// The Lease's name.
pub const LINKS_LEASE: &str = "keyloan-links";
/// How often to ask an API server again that does not answer or does not know our rights yet.
const TRIES: ConstantBuilder = ConstantBuilder::new()
    .with_delay(Duration::from_secs(1))
    .with_max_times(10);

/// Why this install cannot store links in its links namespace.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another install stores its links there.
    #[error(
        "namespace {namespace} already holds the links of install {holder:?}, and this is install {install:?}: set --links-namespace (chart value links.namespace) to a namespace that no other install uses. If {holder:?} was uninstalled permanently and all its loans have ended, delete the Lease {namespace}/{LINKS_LEASE}"
    )]
    Held {
        /// The links namespace.
        namespace: String,
        /// The other install.
        holder: String,
        /// This one.
        install: String,
    },
    /// The namespace does not exist.
    #[error(
        "the links namespace {namespace} does not exist: create it, let the chart create it (links.create: true), or set --links-namespace (chart value links.namespace) to an existing one"
    )]
    NoNamespace {
        /// The links namespace.
        namespace: String,
    },
    /// The API server refuses, or does not answer.
    #[error("cannot determine which install owns the links namespace {namespace}: {error}")]
    Api {
        /// The links namespace.
        namespace: String,
        /// What went wrong.
        error: ApiError,
    },
}

impl Cluster {
    /// Claims the links namespace for this install, unless it has done so before.
    pub async fn claim_links_namespace(&self) -> Result<(), ClaimError> {
        let is_worth_another_try = |error: &ClaimError| matches!(error, ClaimError::Api { .. });
        (|| self.claim())
            .retry(TRIES)
            .when(is_worth_another_try)
            .await
    }

    async fn claim(&self) -> Result<(), ClaimError> {
        let namespace = &self.install.links_namespace;
        let there = match self.lease().await {
            Ok(lease) => lease,
            Err(error) => return Err(self.why(error).await),
        };
        let holder = there.spec.and_then(|spec| spec.holder_identity);
        match holder.unwrap_or_default() {
            holder if holder == self.install.name => Ok(()),
            holder => Err(ClaimError::Held {
                namespace: namespace.clone(),
                holder,
                install: self.install.name.clone(),
            }),
        }
    }

    async fn lease(&self) -> Result<Lease, ApiError> {
        let key = Key::new(&self.install.links_namespace, LINKS_LEASE);
        match self.verbs.get::<Lease, _>(&key).await? {
            Some(lease) => Ok(lease),
            // If another replica or install is faster, the next read shows that.
            None => self.verbs.create(&self.own_claim()).await,
        }
    }

    /// If the namespace is missing, so is the Role in it, and the API server reports only the
    /// missing right.
    async fn why(&self, error: ApiError) -> ClaimError {
        let namespace = self.install.links_namespace.clone();
        let is_missing = match error.kind {
            ApiErrorKind::NotFound => true,
            ApiErrorKind::Forbidden(_) => {
                matches!(self.verbs.has_namespace(&namespace).await, Ok(false))
            }
            _ => false,
        };
        match is_missing {
            true => ClaimError::NoNamespace { namespace },
            false => ClaimError::Api { namespace, error },
        }
    }

    fn own_claim(&self) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(LINKS_LEASE.to_owned()),
                namespace: Some(self.install.links_namespace.clone()),
                labels: Some(self.install.link_labels.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.install.name.clone()),
                ..LeaseSpec::default()
            }),
        }
    }
}
