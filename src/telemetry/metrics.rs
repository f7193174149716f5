//! Metrics in the OpenMetrics format. No label contains an object's name: there are many names, and
//! they reveal who borrows what.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Family<PassLabels, Counter>,
    api_calls: Family<ApiCall, Counter>,
    watch_errors: Family<KindLabels, Counter>,
    events_failed: Counter,
    requests: Family<RequestLabels, Counter>,
    call_seconds: Family<CallLabels, Histogram>,
    quota_used: Family<QuotaLabels, Gauge<f64, AtomicU64>>,
    integrations: Family<StateLabels, Gauge>,
    boundary_in_force: Gauge,
    boundary_checks: Family<OutcomeLabels, Counter>,
}

/// One call of the Kubernetes API.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ApiCall {
    /// `create`, `dry-run`, `get`, `patch`, `write the status of`, `delete`.
    pub verb: &'static str,
    /// The object's kind.
    pub kind: String,
    /// `ok`, or the kind of error.
    pub outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    call: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuotaLabels {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    ready: &'static str,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("keyloan");
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.005, 2.0, 14));
        let r = &mut registry;
        Self {
            passes: registered(
                r,
                "passes",
                "Reconciliation passes, by outcome",
                Family::default(),
            ),
            api_calls: registered(
                r,
                "api_calls",
                "Calls to the Kubernetes API",
                Family::default(),
            ),
            watch_errors: registered(
                r,
                "watch_errors",
                "Watch interruptions, and objects that could not be decoded",
                Family::default(),
            ),
            events_failed: registered(
                r,
                "events_failed",
                "Events that could not be published",
                Counter::default(),
            ),
            requests: registered(
                r,
                "onepassword_requests",
                "HTTP requests to 1Password; each counts against the account's limits",
                Family::default(),
            ),
            call_seconds: registered(
                r,
                "onepassword_call_seconds",
                "Duration of calls to 1Password, including the wait for earlier calls",
                Family::new_with_constructor(seconds),
            ),
            quota_used: registered(
                r,
                "onepassword_quota_used_ratio",
                "Largest estimated used share of a request limit, over all accounts or tokens",
                Family::default(),
            ),
            integrations: registered(
                r,
                "integrations",
                "Integrations, by readiness",
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
            registry,
        }
    }

    /// The metrics as text.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        text::encode(&mut page, &self.registry).ok();
        page
    }

    /// Counts a pass.
    pub fn pass(&self, controller: &'static str, outcome: &'static str) {
        self.passes
            .get_or_create(&PassLabels {
                controller,
                outcome,
            })
            .inc();
    }

    /// Counts a call of the Kubernetes API.
    pub fn api_call(&self, call: ApiCall) {
        self.api_calls.get_or_create(&call).inc();
    }

    /// Counts an interrupted watch.
    pub fn watch_error(&self, kind: &str) {
        self.watch_errors
            .get_or_create(&KindLabels {
                kind: kind.to_owned(),
            })
            .inc();
    }

    /// Counts an event that was not published.
    pub fn event_failed(&self) {
        self.events_failed.inc();
    }

    /// Counts a request to 1Password; `outcome` is its status, or why there was none.
    pub fn onepassword_request(&self, method: &'static str, route: &'static str, outcome: String) {
        self.requests
            .get_or_create(&RequestLabels {
                method,
                route,
                outcome,
            })
            .inc();
    }

    /// Records a call to 1Password.
    pub fn onepassword_call(&self, call: &'static str, outcome: &'static str, seconds: f64) {
        self.call_seconds
            .get_or_create(&CallLabels { call, outcome })
            .observe(seconds);
    }

    /// Sets the largest estimated used share of a limit (`hour_reads`, `hour_writes` or `day`).
    pub fn quota_used(&self, limit: &'static str, ratio: f64) {
        self.quota_used
            .get_or_create(&QuotaLabels { limit })
            .set(ratio);
    }

    /// Sets how many integrations are ready, and how many are not.
    pub fn integrations(&self, ready: i64, not_ready: i64) {
        self.integrations
            .get_or_create(&StateLabels { ready: "true" })
            .set(ready);
        self.integrations
            .get_or_create(&StateLabels { ready: "false" })
            .set(not_ready);
    }

    /// Sets whether the admission policies are in force.
    pub fn boundary_in_force(&self, in_force: bool) {
        self.boundary_in_force.set(i64::from(in_force));
    }

    /// Counts a probe of the admission policies: `guarded`, `open` or `unknown`.
    pub fn boundary_check(&self, outcome: &'static str) {
        self.boundary_checks
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }
}

/// Adds a metric to the page.
fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What has labels is served from its first use on.
    fn with_one_of_each() -> Metrics {
        let metrics = Metrics::new();
        metrics.pass("integration", "waiting");
        metrics.api_call(ApiCall {
            verb: "get",
            kind: "Secret".into(),
            outcome: "ok",
        });
        metrics.watch_error("Secret");
        metrics.onepassword_request("GET", "/api/v1/vaults", "200".into());
        metrics.onepassword_call("vaults", "ok", 0.1);
        metrics.quota_used("day", 0.25);
        metrics.integrations(1, 0);
        metrics.boundary_check("guarded");
        metrics
    }

    #[test]
    fn every_metric_is_explained_and_no_other() {
        const PAGE: &str = include_str!("../../docs/install.md");
        let rows = PAGE
            .lines()
            .filter_map(|line| line.strip_prefix("| `keyloan_"));
        let explained = rows.filter_map(|row| Some(format!("keyloan_{}", row.split('`').next()?)));
        let page = with_one_of_each().encode();
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let served = types.map(|line| match line.split_once(' ') {
            Some((name, "counter")) => format!("{name}_total"),
            Some((name, _)) => name.to_owned(),
            None => line.to_owned(),
        });
        let (served, explained): (BTreeSet<_>, BTreeSet<_>) =
            (served.collect(), explained.collect());
        assert_eq!(served, explained, "docs/install.md");
    }

    #[test]
    fn what_was_counted_is_on_the_page() {
        let page = with_one_of_each().encode();
        for line in [
            r#"keyloan_passes_total{controller="integration",outcome="waiting"} 1"#,
            r#"keyloan_onepassword_requests_total{method="GET",route="/api/v1/vaults",outcome="200"} 1"#,
            r#"keyloan_onepassword_quota_used_ratio{limit="day"} 0.25"#,
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }
}
