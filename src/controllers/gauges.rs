//! Counts how things stand, for metrics: grants by phase, loans past their end, residual links,
//! integrations, the next end of a token, and the used request limits. The numbers come from the
//! known objects, so a restart needs no memory of them.
//!
//! They are counted when somebody reads the metrics, but at most once a second, because everybody
//! may read and each count visits every known grant and record.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{self, AccessGrant, AccessRecord, OnePasswordIntegration, Phase};
use crate::cluster::{Cluster, ledger_of};
use crate::plan::conditions;
use crate::plan::delivery::links::Links;
use crate::plan::integration::expires_at;
use crate::plan::record::is_of_a_loan;
use crate::runtime::Clock;
use crate::telemetry::{Metrics, PhaseLabel};

use super::quotas::Quotas;
use super::registry::Registry;

/// The shortest time between two counts.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// Counts how things stand while this replica leads.
pub struct Gauges {
    cluster: Arc<Cluster>,
    quotas: Quotas,
    clock: Clock,
    metrics: Arc<Metrics>,
    leads: AtomicBool,
    last: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Loans {
    overdue: i64,
    residuals: i64,
}

impl Gauges {
    /// Counts nothing until this replica leads.
    pub fn new(
        cluster: Arc<Cluster>,
        registry: &Registry,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            cluster,
            quotas: registry.quotas(),
            clock,
            metrics,
            leads: AtomicBool::new(false),
            last: Mutex::default(),
        }
    }

    /// Notes that this replica leads.
    pub fn lead(&self) {
        self.metrics.operator.leads();
        self.leads.store(true, Ordering::SeqCst);
    }

    /// The metrics, with current numbers.
    pub fn metrics(&self) -> &Metrics {
        if self.leads.load(Ordering::SeqCst) && self.is_due() {
            self.count();
        }
        &self.metrics
    }

    fn is_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.stopwatch();
        let is_due = last.is_none_or(|last| now.duration_since(last) >= AT_MOST_EVERY);
        if is_due {
            *last = Some(now);
        }
        is_due
    }

    fn count(&self) {
        let now = self.clock.now();
        self.count_grants();
        self.count_loans(now);
        self.count_integrations();
        self.quotas.show(&self.metrics, now);
    }

    fn count_grants(&self) {
        let phases = PhaseLabel::ALL.iter();
        let mut counts: Vec<(PhaseLabel, i64)> = phases.map(|phase| (*phase, 0)).collect();
        self.cluster.grants.visit(|grant: &AccessGrant| {
            if !self.cluster.install.serves(ledger_of(grant)) {
                return;
            }
            let phase = phase_of(grant);
            let of_it = counts.iter_mut().find(|(of, _)| *of == phase);
            of_it.into_iter().for_each(|(_, count)| *count += 1);
        });
        for (phase, count) in counts {
            self.metrics.standing.grants(phase, count);
        }
    }

    fn count_loans(&self, now: Timestamp) {
        let mut loans = Loans::default();
        self.cluster.records.visit(|record: &AccessRecord| {
            let is_ours = record.spec.install.as_ref() == Some(&self.cluster.install.name);
            if is_ours && is_of_a_loan(&record.spec) {
                loans.overdue += i64::from(self.is_overdue(record, now));
                loans.residuals += i64::from(has_residual(record, now));
            }
        });
        self.metrics.standing.loans_overdue(loans.overdue);
        self.metrics.standing.residuals_open(loans.residuals);
    }

    /// Whether the loan is past its end and still runs, or has ended and its link can still be read.
    fn is_overdue(&self, record: &AccessRecord, now: Timestamp) -> bool {
        match &record.spec.end {
            None => {
                let end = Links::of(&record.spec).access_end();
                end.is_some_and(|end| end <= now)
            }
            Some(_) => {
                let link = self.cluster.install.link(&record.spec.grant.uid);
                self.cluster.secrets.get(&link).is_some()
            }
        }
    }

    fn count_integrations(&self) {
        let (mut ready, mut not_ready, mut next_end) = (0, 0, None);
        let visit = |integration: &OnePasswordIntegration| {
            let namespace = integration.namespace().unwrap_or_default();
            if integration.spec.suspend || !self.cluster.install.serves(&namespace) {
                return;
            }
            let status = integration.status.as_ref();
            match status.is_some_and(|s| conditions::holds(&s.conditions, api::READY)) {
                true => ready += 1,
                false => not_ready += 1,
            }
            let ends = [next_end, expires_at(integration)];
            next_end = ends.into_iter().flatten().min();
        };
        self.cluster.integrations.visit(visit);
        self.metrics.standing.integrations(ready, not_ready);
        self.metrics
            .standing
            .token_expiry(next_end.map(Timestamp::as_second));
    }
}

fn phase_of(grant: &AccessGrant) -> PhaseLabel {
    match grant.status.as_ref().and_then(|status| status.phase) {
        None => PhaseLabel::New,
        Some(Phase::Pending) => PhaseLabel::Pending,
        Some(Phase::Denied) => PhaseLabel::Denied,
        Some(Phase::Lapsed) => PhaseLabel::Lapsed,
        Some(Phase::Issuing) => PhaseLabel::Issuing,
        Some(Phase::Active) => PhaseLabel::Active,
        Some(Phase::Ending) => PhaseLabel::Ending,
        Some(Phase::Ended) => PhaseLabel::Ended,
        Some(Phase::Failed) => PhaseLabel::Failed,
    }
}

/// Whether a link may still open although the loan has ended.
fn has_residual(record: &AccessRecord, now: Timestamp) -> bool {
    let until = record.spec.residual_until.as_ref();
    record.spec.end.is_some() && until.is_some_and(|until| until.0 > now)
}

#[cfg(test)]
mod tests;
