//! Streams: one supervised watch each, with a back-off of its own.

use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::cache::{Cache, Feed};
use crate::runtime::Tasks;
use crate::telemetry::Metrics;

/// Follows the objects of an `Api` (those of one namespace if it has a `scope`) into a cache, until the operator stops.
pub(super) fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    cache: Arc<Cache<K>>,
    scope: Option<String>,
    metrics: Arc<Metrics>,
    tasks: &Tasks,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let kind = K::kind(&()).into_owned();
    let place = scope
        .clone()
        .map(|namespace| format!(" in {namespace}"))
        .unwrap_or_default();
    let mut feed = Feed::new(cache, scope);
    tasks.keep(format!("watch of {kind}{place}"), async move {
        let mut events = std::pin::pin!(watcher(api, config).default_backoff());
        let mut failing = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    failing = false;
                    feed.take(event);
                }
                Err(error) => {
                    metrics.watch_error(&kind);
                    report(&kind, &error, failing);
                    failing = true;
                }
            }
        }
        Ok::<(), std::convert::Infallible>(())
    });
}

/// The first failure in a row is worth a warning; that a watch ends now and then is not worth a word.
fn report(kind: &str, error: &watcher::Error, failing: bool) {
    if failing {
        tracing::debug!(kind, %error, "the watch still fails");
    } else if matches!(
        error,
        watcher::Error::WatchFailed(_) | watcher::Error::WatchError(_)
    ) {
        tracing::info!(kind, %error, "the watch was interrupted and is resumed");
    } else {
        tracing::warn!(
            kind,
            %error,
            "cannot watch; retrying. Are the custom resource definitions and the operator's roles installed?"
        );
    }
}
