//! What all parts need to put their metrics on the page.

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

/// Adds a metric to the page.
pub(super) fn registered<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// A histogram of seconds with these upper bounds.
pub(super) fn seconds(bounds: impl IntoIterator<Item = f64>) -> Histogram {
    Histogram::new(bounds)
}
