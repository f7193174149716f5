//! Adds a metric to the page.

use prometheus_client::registry::{Metric, Registry};

/// Registers a metric, and returns it.
pub(super) fn registered<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}
