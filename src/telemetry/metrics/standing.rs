//! How requests, loans, integrations and the admission policies are right now. Only the leader sets
//! these numbers, so that the sum over all replicas is right; the exception is whether the policies
//! are in force, which every replica sees for itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::PhaseLabel;
use super::registering::registered;

/// How requests, loans, integrations and the admission policies are right now.
#[derive(Debug)]
pub struct Standing {
    grants: Family<Phase, Gauge>,
    loans_overdue: Family<NoLabel, Gauge>,
    residuals_open: Family<NoLabel, Gauge>,
    token_expiry: Family<NoLabel, Gauge>,
    integrations: Family<Ready, Gauge>,
    boundary_in_force: Gauge,
    boundary_checks: Family<Outcome, Counter>,
}

/// A metric without a label that is not served until it is set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoLabel {}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: PhaseLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ready {
    ready: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Standing {
    pub(super) fn new(r: &mut Registry) -> Self {
        Self {
            grants: registered(r, "grants", "AccessGrants, by phase", Family::default()),
            loans_overdue: registered(
                r,
                "loans_overdue",
                "Loans past their end that still run or whose link Secret still exists",
                Family::default(),
            ),
            residuals_open: registered(
                r,
                "residuals_open",
                "Loans that have ended and whose last link may still open",
                Family::default(),
            ),
            token_expiry: registered(
                r,
                "token_expiry_timestamp_seconds",
                "Unix time of the next end of a token, of those whose integration names one",
                Family::default(),
            ),
            integrations: registered(
                r,
                "integrations",
                "Integrations that are not suspended, by readiness",
                Family::default(),
            ),
            boundary_in_force: registered(
                r,
                "boundary_in_force",
                "1 while the admission policies are in force, else 0",
                Gauge::default(),
            ),
            boundary_checks: registered(
                r,
                "boundary_checks",
                "Admission-policy probe results, by outcome",
                Family::default(),
            ),
        }
    }
}

impl Standing {
    /// Sets how many grants are in this phase.
    pub fn grants(&self, phase: PhaseLabel, count: i64) {
        let grants = &self.grants;
        grants.get_or_create(&Phase { phase }).set(count);
    }

    /// Sets how many loans are past their end and still run, or still have a Secret.
    pub fn loans_overdue(&self, count: i64) {
        let overdue = &self.loans_overdue;
        overdue.get_or_create(&NoLabel {}).set(count);
    }

    /// Sets how many loans have ended while a link of theirs may still open.
    pub fn residuals_open(&self, count: i64) {
        let open = &self.residuals_open;
        open.get_or_create(&NoLabel {}).set(count);
    }

    /// Sets when the next token ends, in seconds since 1970; `None` if no integration says so.
    pub fn token_expiry(&self, at: Option<i64>) {
        let expiry = &self.token_expiry;
        match at {
            Some(at) => drop(expiry.get_or_create(&NoLabel {}).set(at)),
            None => drop(expiry.remove(&NoLabel {})),
        }
    }

    /// Sets how many integrations are ready, and how many are not.
    pub fn integrations(&self, ready: i64, not_ready: i64) {
        for (ready, count) in [("true", ready), ("false", not_ready)] {
            let integrations = &self.integrations;
            integrations.get_or_create(&Ready { ready }).set(count);
        }
    }

    /// Sets whether the admission policies are in force.
    pub fn boundary_in_force(&self, in_force: bool) {
        self.boundary_in_force.set(i64::from(in_force));
    }

    /// Counts a probe of the admission policies: `guarded`, `open` or `unknown`.
    pub fn boundary_check(&self, outcome: &'static str) {
        let checks = &self.boundary_checks;
        checks.get_or_create(&Outcome { outcome }).inc();
    }
}
