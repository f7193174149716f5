//! One install for each links namespace: a Lease there says which, and it is held for good.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable as _};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::ObjectMeta;

use super::errors::{ApiError, Trouble};
use super::{Cluster, Key};

/// The Lease's name.
pub const LINKS_LEASE: &str = "keyloan-links";
/// An API server that does not answer, or that learns of our rights only now, is asked again so often.
const TRIES: ConstantBuilder = ConstantBuilder::new()
    .with_delay(Duration::from_secs(1))
    .with_max_times(10);

/// Why this install cannot keep links in its links namespace.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another install keeps its links there.
    #[error(
        "the namespace {namespace} holds the links of the install {holder:?}, and this is the install {install:?}: set --links-namespace (the chart's links.namespace) to a namespace of its own. If {holder:?} was uninstalled for good and all its loans have ended, delete the Lease {namespace}/{LINKS_LEASE}"
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
        "the namespace {namespace}, which is to hold links, does not exist: create it, or have the chart create it (links.create: true), or name another one with --links-namespace"
    )]
    NoNamespace {
        /// The links namespace.
        namespace: String,
    },
    /// The API server refuses, or does not answer.
    #[error("cannot find out which install keeps its links in the namespace {namespace}: {error}")]
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
        let is_worth_another_try = |error: &ClaimError| !matches!(error, ClaimError::Held { .. });
        (|| self.claim())
            .retry(TRIES)
            .when(is_worth_another_try)
            .await
    }

    async fn claim(&self) -> Result<(), ClaimError> {
        let namespace = &self.install.links_namespace;
        let key = Key::new(namespace, LINKS_LEASE);
        let failed = |error: ApiError| match error.trouble {
            Trouble::NotFound => ClaimError::NoNamespace {
                namespace: namespace.clone(),
            },
            _ => ClaimError::Api {
                namespace: namespace.clone(),
                error,
            },
        };
        let there = match self.verbs.get::<Lease>(&key).await.map_err(failed)? {
            Some(lease) => lease,
            None => match self.verbs.create(&self.own_claim()).await {
                Ok(lease) => lease,
                // Another replica, or another install, was faster: the next look tells.
                Err(error) => return Err(failed(error)),
            },
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
