//! The objects of requests and loans, from which their steps are derived.

use std::collections::HashSet;
use std::sync::Arc;

use kube::ResourceExt as _;

use crate::api::{AccessGrant, AccessRecord};
use crate::cluster::Cluster;
use crate::controllers::loan::LoanKey;
use crate::plan::record::{is_in_its_ledger, restored_by};
use crate::plan::timeline::Subject;

/// The objects of one request or loan.
pub struct Objects {
    /// The request, while it exists.
    pub grant: Option<Arc<AccessGrant>>,
    /// The record, once there is one.
    pub record: Option<Arc<AccessRecord>>,
}

impl Objects {
    /// The known ones. `last` is the record as it was when it became history.
    pub fn of(cluster: &Cluster, key: &LoanKey, last: Option<Arc<AccessRecord>>) -> Self {
        let grant = cluster.grants.get(&key.grant);
        let record = cluster.records.get(&key.record()).or(last);
        Self {
            grant: grant.filter(|grant| grant.uid().as_deref() == Some(&key.uid)),
            record: record.filter(|record| is_in_its_ledger(record)),
        }
    }

    /// Whether the caches still hold one of them.
    pub fn are_kept(&self, cluster: &Cluster, key: &LoanKey) -> bool {
        self.grant.is_some() || cluster.records.get(&key.record()).is_some()
    }

    /// The request or loan. A record that a restore brought back is not its record.
    pub fn subject(&self) -> Subject<'_> {
        let record = self.record.as_deref();
        let own = record.filter(|record| restored_by(record).is_none());
        Subject {
            grant: self.grant.as_deref(),
            record: own.map(|record| &record.spec),
        }
    }

    /// The loan of a record that a restore brought back: it tells of a time before the restore.
    pub fn restored(&self) -> Option<Subject<'_>> {
        let record = self.record.as_deref();
        let restored = record.filter(|record| restored_by(record).is_some())?;
        Some(Subject {
            grant: None,
            record: Some(&restored.spec),
        })
    }
}

/// The requests and loans in the caches that this install serves.
pub fn keys(cluster: &Cluster) -> HashSet<LoanKey> {
    let mut keys = HashSet::new();
    cluster.grants.visit(|grant| {
        keys.insert(LoanKey::of_grant(grant));
    });
    cluster.records.visit(|record| {
        keys.insert(LoanKey::of_record(record));
    });
    keys.retain(|key| cluster.install.serves(&key.ledger));
    keys
}
