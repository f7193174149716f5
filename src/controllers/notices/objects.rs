//! The objects of requests and loans, from which their steps are derived: those in the caches, and
//! records that have become history since.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{AccessGrant, AccessRecord};
use crate::cluster::Cluster;
use crate::controllers::loan::LoanKey;
use crate::plan::timeline::Subject;

/// The number of records that are read again, because they have become history meanwhile.
const MOST_READ_AGAIN: usize = 5000;

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
        Self {
            grant: grant.filter(|grant| grant.uid().as_deref() == Some(&key.uid)),
            record: cluster.records.get(&key.record()).or(last),
        }
    }

    /// All that are known, and the records that became history at this time or later.
    pub async fn since(cluster: &Cluster, since: Timestamp) -> Vec<Self> {
        let known = keys(cluster);
        let mut all: Vec<_> = known
            .iter()
            .map(|key| Self::of(cluster, key, None))
            .collect();
        let history = cluster.records.became_history_since(since);
        for key in history.into_iter().take(MOST_READ_AGAIN) {
            if let Ok(Some(record)) = cluster.records.live(&key).await {
                let loan = LoanKey::of_record(&record);
                all.push(Self::of(cluster, &loan, Some(record)));
            }
        }
        all
    }

    /// The request or loan.
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            grant: self.grant.as_deref(),
            record: self.record.as_deref().map(|record| &record.spec),
        }
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
