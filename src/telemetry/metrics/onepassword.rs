//! Calls and requests to 1Password, and the used part of its request limits.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::registering::registered;

/// Calls and requests to 1Password, and their limits.
#[derive(Debug)]
pub struct OnePassword {
    requests: Family<Request, Counter>,
    call_seconds: Family<Call, Histogram>,
    quota_used: Family<Limit, Gauge<f64, AtomicU64>>,
    quota_requests: Family<Kind, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: &'static str,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    call: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

impl OnePassword {
    pub(super) fn new(r: &mut Registry) -> Self {
        let call_seconds: fn() -> Histogram =
            || Histogram::new(exponential_buckets(0.005, 2.0, 14));
        let onepassword = Self {
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
                Family::new_with_constructor(call_seconds),
            ),
            quota_used: registered(
                r,
                "onepassword_quota_used_ratio",
                "Largest estimated used share of a request limit, over all accounts or tokens",
                Family::default(),
            ),
            quota_requests: registered(
                r,
                "onepassword_quota_requests",
                "Requests that count against 1Password's limits, as reads and writes",
                Family::default(),
            ),
        };
        for kind in ["read", "write"] {
            drop(onepassword.quota_requests.get_or_create(&Kind { kind }));
        }
        onepassword
    }
}

impl OnePassword {
    /// Counts a request to 1Password; `outcome` is its status, or why there was none.
    pub fn request(&self, method: &'static str, route: &'static str, outcome: String) {
        let request = Request {
            method,
            route,
            outcome,
        };
        self.requests.get_or_create(&request).inc();
    }

    /// Records a call to 1Password.
    pub fn call(&self, call: &'static str, outcome: &'static str, seconds: f64) {
        let calls = &self.call_seconds;
        calls
            .get_or_create(&Call { call, outcome })
            .observe(seconds);
    }

    /// Sets the largest estimated used share of a limit (`hour_reads`, `hour_writes` or `day`).
    pub fn quota_used(&self, limit: &'static str, ratio: f64) {
        let used = &self.quota_used;
        used.get_or_create(&Limit { limit }).set(ratio);
    }

    /// Counts requests that count against 1Password's limits.
    pub fn quota_requests(&self, reads: u32, writes: u32) {
        for (kind, count) in [("read", reads), ("write", writes)] {
            let requests = &self.quota_requests;
            requests.get_or_create(&Kind { kind }).inc_by(count.into());
        }
    }
}
