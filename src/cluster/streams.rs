//! Streams: one supervised watch each, with its own back-off, and its way into a cache.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Api;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;

use super::cache::{Cache, Listing};
use super::errors::ErrorClass;
use super::key::version;
use super::metadata_filter::Watched;
use super::received::{Received, Undecodable};
use crate::runtime::Tasks;
use crate::telemetry::Metrics;

/// The API server ends a watch after this many seconds, and the watch resumes where it ended. A few
/// seconds later, kube gives up a silent watch. So an API server that dies silently can hide a
/// change for this long.
pub(super) const WATCHED_FOR: u32 = 120;
/// How many objects one page of a list holds: even if each is as large as the API server accepts
/// (1.5 MB), a page fits into the operator's memory.
///
/// The operator lists objects instead of streaming them (`sendInitialEvents`): kube begins such a
/// stream with the API server's cache, and a new leader must not act on outdated objects.
const LISTED_AT_A_TIME: u32 = 50;

/// How long to wait before the operator tries an inaccessible namespace again: somebody has to act
/// first.
const SLOWLY: Duration = Duration::from_secs(60);

/// The longest wait before the operator tries a kind again that the API server does not know: the
/// installation of the CRDs is reported by nothing that the operator may watch, and the answer 404
/// is cheap.
const UNKNOWN_KIND: Duration = Duration::from_secs(3);

/// The settings of all watches.
pub(super) fn watching() -> watcher::Config {
    watcher::Config::default()
        .timeout(WATCHED_FOR)
        .page_size(LISTED_AT_A_TIME)
}

/// Follows the objects of an `Api` (those of one namespace if it has a `scope`) into a cache, until
/// the operator stops.
pub(super) fn follow<K>(
    api: Api<Received<K>>,
    config: watcher::Config,
    cache: Arc<Cache<K>>,
    scope: Option<String>,
    metrics: Arc<Metrics>,
    tasks: &Tasks,
) where
    K: Watched + Clone + Debug + Send + Sync + 'static,
{
    let kind = K::kind(&()).into_owned();
    metrics.operator.watches(&kind);
    let place = scope
        .clone()
        .map(|namespace| format!(" in {namespace}"))
        .unwrap_or_default();
    let mut feed = Feed::new(cache, scope.clone());
    tasks.keep(format!("watch of {kind}{place}"), async move {
        let anew = || watcher(api.clone(), config.clone()).boxed();
        let mut events = anew();
        let mut backoff = watcher::DefaultBackoff::default();
        let mut failing = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    if goes_on(&event) {
                        failing = false;
                        backoff.reset();
                    }
                    if let Err(undecodable) = feed.take(event) {
                        metrics.operator.watch_error(&kind);
                        tracing::warn!(kind, "{undecodable}");
                    }
                    if feed.went_back() {
                        tracing::warn!(
                            kind,
                            "resourceVersion went backwards (etcd restore?); relisting"
                        );
                        events = anew();
                    }
                }
                Err(error) => {
                    metrics.operator.watch_error(&kind);
                    let again = std::mem::replace(&mut failing, true);
                    match scope.as_ref().filter(|_| is_out_of_reach(&error)) {
                        // One missing namespace must not keep the operator from serving the others.
                        Some(namespace) => {
                            report_out_of_reach(&kind, namespace, &error, again);
                            feed.count_as_told();
                            tokio::time::sleep(SLOWLY).await;
                        }
                        None => {
                            report(&kind, &error, again);
                            let wait = backoff.next().unwrap_or(SLOWLY);
                            let wait = match refusal(&error) {
                                Some(ErrorClass::NotFound) => wait.min(UNKNOWN_KIND),
                                _ => wait,
                            };
                            tokio::time::sleep(wait).await;
                            if is_unread(&error) {
                                events = anew();
                            }
                        }
                    }
                }
            }
        }
        Ok::<(), std::convert::Infallible>(())
    });
}

/// Whether an event shows that a watch works. The start of a listing does not: the listing may fail
/// at any page, and would be retried at once.
pub(super) fn goes_on<K>(event: &Event<K>) -> bool {
    !matches!(event, Event::Init | Event::InitApply(_))
}

/// Whether an event could not be parsed. A resumed watch would never send it again.
fn is_unread(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchFailed(error) if ErrorClass::of(error) == ErrorClass::Unreadable)
}

/// Whether the API server reports that the namespace does not exist, or that the operator has no
/// rights in it.
fn is_out_of_reach(error: &watcher::Error) -> bool {
    matches!(
        refusal(error),
        Some(ErrorClass::Forbidden | ErrorClass::NotFound)
    )
}

/// Why a watch could not begin; `None` if it began.
fn refusal(error: &watcher::Error) -> Option<ErrorClass> {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            Some(ErrorClass::of(error))
        }
        _ => None,
    }
}

fn report_out_of_reach(kind: &str, namespace: &str, error: &watcher::Error, failing: bool) {
    if failing {
        tracing::debug!(kind, namespace, %error, "cannot access this namespace yet");
    } else {
        tracing::warn!(
            kind,
            namespace,
            %error,
            "cannot access this namespace: the operator reads no tokens and stores no links there until the namespace exists and the operator has its rights in it"
        );
    }
}

/// The first failure in a row is worth a warning. Watches end now and then, which is not.
fn report(kind: &str, error: &watcher::Error, failing: bool) {
    if failing {
        tracing::debug!(kind, %error, "the watch is still failing");
    } else if matches!(
        error,
        watcher::Error::WatchFailed(_) | watcher::Error::WatchError(_)
    ) {
        tracing::info!(kind, %error, "watch interrupted; resuming");
    } else {
        let what_to_do = match refusal(error) {
            Some(ErrorClass::NotFound) => {
                "the API server does not know this kind: install the chart keyloan-crds; the operator waits for it"
            }
            Some(ErrorClass::Forbidden) => {
                "the operator may not list or watch this kind; retrying. Check that its roles are installed"
            }
            _ => "cannot watch; retrying",
        };
        tracing::warn!(kind, %error, "{what_to_do}");
    }
}

/// One stream's way into a cache. It owns the objects of one namespace, or all.
pub(super) struct Feed<K> {
    cache: Arc<Cache<K>>,
    scope: Option<String>,
    listing: Option<Listing<K>>,
    /// The latest version seen since the listing began.
    told_at: u128,
    went_back: bool,
    synced: bool,
}

impl<K: Watched> Feed<K> {
    pub(super) fn new(cache: Arc<Cache<K>>, scope: Option<String>) -> Self {
        Self {
            cache,
            scope,
            listing: None,
            told_at: 0,
            went_back: false,
            synced: false,
        }
    }

    /// Takes in an event of the watch. An object that cannot be decoded is treated as missing,
    /// whatever was known of it.
    pub(super) fn take(&mut self, event: Event<Received<K>>) -> Result<(), Undecodable> {
        match event {
            Event::Init => {
                (self.told_at, self.went_back) = (0, false);
                let again = self.listing.replace(Listing::default()).is_some();
                self.cache.begin_listing(self.scope.as_deref(), again);
            }
            Event::InitApply(told) => {
                self.told_at = self.told_at.max(version(&told));
                let object = told.decoded()?;
                if let Some(listing) = &mut self.listing {
                    self.cache.list(listing, object);
                }
            }
            Event::InitDone => self.end_listing(),
            Event::Apply(told) => {
                self.note(&told);
                if !told.is_decoded() {
                    self.cache.end(&told);
                }
                self.cache.take(told.decoded()?);
            }
            Event::Delete(told) => {
                self.note(&told);
                self.cache.end(&told);
            }
        }
        Ok(())
    }

    /// Whether the watch has sent an older version than before: etcd was restored, and the known
    /// objects may be wrong. Only a new listing shows what exists.
    pub(super) fn went_back(&self) -> bool {
        self.went_back
    }

    fn note(&mut self, told: &Received<K>) {
        self.went_back |= version(told) < self.told_at;
        self.told_at = self.told_at.max(version(told));
    }

    /// Nothing more can be listed for now.
    pub(super) fn count_as_told(&mut self) {
        if !self.synced {
            self.synced = true;
            self.cache.stream_synced();
        }
    }

    fn end_listing(&mut self) {
        let listing = self.listing.take().unwrap_or_default();
        let news = self.cache.end_listing(self.scope.as_deref(), listing);
        self.count_as_told();
        news.iter().for_each(|object| self.cache.tell(object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<K: Watched> Cache<K> {
        /// Takes in an object as from a watch.
        pub(crate) fn learn(self: &Arc<Self>, object: K) {
            let event = Event::Apply(object.into());
            let mut feed = Feed::new(self.clone(), None);
            feed.take(event).expect("it is decoded");
        }

        /// Takes in the deletion of an object as from a watch.
        pub(crate) fn unlearn(self: &Arc<Self>, object: K) {
            let event = Event::Delete(object.into());
            let mut feed = Feed::new(self.clone(), None);
            feed.take(event).expect("it is decoded");
        }
    }
}
