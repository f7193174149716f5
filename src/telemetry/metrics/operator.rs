//! The operator's own work: passes, its queues, its calls to the Kubernetes API, whether it leads.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::registering::registered;

/// The operator's own work.
#[derive(Debug)]
pub struct Operator {
    leader: Gauge,
    passes: Family<Pass, Counter>,
    queue_depth: Family<Queue, Gauge>,
    api_calls: Family<ApiCall, Counter>,
    watch_errors: Family<Kind, Counter>,
    events_failed: Counter,
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
struct Build {
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pass {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

impl Operator {
    pub(super) fn new(r: &mut Registry) -> Self {
        // A gauge and not an info metric: the latter exists in OpenMetrics only.
        let build = registered(
            r,
            "build_info",
            "The operator's version; always 1",
            Family::<Build, Gauge>::default(),
        );
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&Build { version }).set(1);
        Self {
            leader: registered(
                r,
                "leader",
                "1 while this replica leads, else 0",
                Gauge::default(),
            ),
            passes: registered(
                r,
                "passes",
                "Reconciliation passes, by outcome",
                Family::default(),
            ),
            queue_depth: registered(
                r,
                "queue_depth",
                "Objects that wait for a pass to begin",
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
        }
    }
}

impl Operator {
    /// Notes that this replica leads. It leads until its process ends.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// Counts a pass.
    pub fn pass(&self, controller: &'static str, outcome: &'static str) {
        let pass = Pass {
            controller,
            outcome,
        };
        self.passes.get_or_create(&pass).inc();
    }

    /// Sets how many objects of a controller wait for a pass to begin.
    pub fn queue_depth(&self, controller: &'static str, depth: usize) {
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        let queues = &self.queue_depth;
        queues.get_or_create(&Queue { controller }).set(depth);
    }

    /// Counts a call of the Kubernetes API.
    pub fn api_call(&self, call: ApiCall) {
        self.api_calls.get_or_create(&call).inc();
    }

    /// Notes that objects of this kind are watched.
    pub fn watches(&self, kind: &str) {
        let kind = kind.to_owned();
        drop(self.watch_errors.get_or_create(&Kind { kind }));
    }

    /// Counts an interrupted watch.
    pub fn watch_error(&self, kind: &str) {
        let kind = kind.to_owned();
        let errors = &self.watch_errors;
        errors.get_or_create(&Kind { kind }).inc();
    }

    /// Counts an event that was not published.
    pub fn event_failed(&self) {
        self.events_failed.inc();
    }
}
