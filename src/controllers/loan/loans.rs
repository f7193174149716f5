//! What passes over loans share, and how one loan has another one looked at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::api::AccessRecord;
use crate::cluster::{Cluster, Key};
use crate::controllers::boundary::Boundary;
use crate::controllers::loan_events::LoanEvents;
use crate::controllers::registry::{AtWork, Registry};
use crate::plan::observed::Observed;
use crate::runtime::{Clock, Tasks, WorkQueue};
use crate::telemetry::Metrics;

use super::deleted::DeletedRequests;
use super::key::LoanKey;
use super::memory::Memories;
use super::places::Places;
use super::waiting::WaitingRequests;

/// The shared parts of passes over loans.
pub struct Loans {
    pub(super) cluster: Arc<Cluster>,
    pub(super) registry: Arc<Registry>,
    pub(super) clock: Clock,
    pub(super) events: LoanEvents,
    pub(super) memories: Memories,
    pub(super) waiting: WaitingRequests,
    pub(super) boundary: Arc<Boundary>,
    pub(super) places: Places,
    pub(super) deleted: DeletedRequests,
    pub(super) passes: OnceLock<WorkQueue<LoanKey>>,
    /// Turns at 1Password that have come and are not taken yet.
    pub(super) turns: Mutex<HashMap<LoanKey, AtWork>>,
    pub(super) tasks: Tasks,
}

impl Loans {
    /// Creates a controller for this cluster's loans.
    pub fn new(
        cluster: Arc<Cluster>,
        registry: Arc<Registry>,
        boundary: Arc<Boundary>,
        clock: Clock,
        events: LoanEvents,
        tasks: Tasks,
    ) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            registry,
            clock,
            events,
            memories: Memories::default(),
            waiting: WaitingRequests::default(),
            boundary,
            places: Places::default(),
            deleted: DeletedRequests::default(),
            passes: OnceLock::new(),
            turns: Mutex::default(),
            tasks,
        })
    }

    /// The operator's metrics.
    pub(super) fn metrics(&self) -> Arc<Metrics> {
        self.cluster.verbs.metrics()
    }

    /// The namespace and name of the Secret, the Role and the RoleBinding of a loan.
    pub(super) fn link(&self, key: &LoanKey) -> Key {
        self.cluster.install.link(&key.uid)
    }

    /// Whether this installation is responsible for a loan: it serves the integration's namespace,
    /// or lent the item while it did.
    pub(super) fn concerns(&self, key: &LoanKey) -> bool {
        if self.cluster.install.serves(&key.ledger) {
            return true;
        }
        let records = &self.cluster.records;
        match records.get(&key.record()) {
            Some(record) => self.has_lent(&record),
            // The installation is known once the record is read.
            None => records.is_history(&key.record()),
        }
    }

    pub(super) fn has_lent(&self, record: &AccessRecord) -> bool {
        record.spec.install.as_ref() == Some(&self.cluster.install.name)
    }

    /// Schedules passes for the first of the requests that wait until this person has fewer loans,
    /// in this flow of that namespace or, without one, in any.
    pub(super) fn ask_waiting(&self, requester: &str, flow: Option<(&str, &str)>) {
        self.ask_each(self.waiting.first(requester, flow));
    }

    /// Schedules a pass for each of these.
    pub(super) fn ask_each(&self, keys: impl IntoIterator<Item = LoanKey>) {
        keys.into_iter().for_each(|key| self.ask(key));
    }

    /// Schedules a pass for this loan, because what it waited for has come.
    pub(super) fn go_on(&self, key: LoanKey) {
        if let Some(passes) = self.passes.get() {
            passes.resume(key);
        }
    }

    /// Schedules a pass for this loan.
    pub(super) fn ask(&self, key: LoanKey) {
        if let Some(passes) = self.passes.get() {
            passes.enqueue(key);
        }
    }
}

/// The requester's username.
pub(super) fn requester_of(seen: &Observed) -> &str {
    let by_record = seen.record.as_ref().map(|record| &record.spec.requester);
    let by_grant = seen.grant.as_ref().and_then(|g| g.spec.requester.as_ref());
    let requester = by_record.or(by_grant);
    requester.map_or("", |requester| requester.username.as_str())
}

/// The integration of a loan.
pub(super) fn integration_of(key: &LoanKey, seen: &Observed) -> Key {
    let by_record = seen
        .record
        .as_ref()
        .map(|r| r.spec.terms.integration.name.clone());
    let by_grant = || {
        seen.grant
            .as_ref()
            .map(|g| g.spec.integration.name.0.clone())
    };
    Key::new(&key.ledger, by_record.or_else(by_grant).unwrap_or_default())
}
