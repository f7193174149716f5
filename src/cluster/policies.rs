//! The admission policies of ours that are in the cluster, and their bindings: watched, and no others kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher as watch_kind;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::sync::watch;

use super::errors::{ApiError, Trouble, Words};
use super::streams;
use crate::plan::boundary::{PoliciesSeen, PolicyKey, PolicyKind, PolicySeen, Reading};
use crate::runtime::Tasks;
use crate::telemetry::Metrics;

/// Whether the API server has learnt of a kind that it did not have is asked so often: it may have been upgraded.
const ABSENT_FOR: Duration = Duration::from_secs(600);
/// A watch that cannot go on is begun anew after so long, with a listing: only that tells what can be read by now.
const LISTED_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// So many failures in a row mean that what is known may be out of date; a few are an API server that restarts.
const MOST_FAILURES: u32 = 5;

/// Reading some of them anew takes no longer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is known of our policies and bindings.
pub struct Policies {
    client: Client,
    seen: watch::Sender<PoliciesSeen>,
}

impl Policies {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            seen: watch::Sender::default(),
        }
    }

    /// What is known now, and whenever that changes.
    pub fn seen(&self) -> watch::Receiver<PoliciesSeen> {
        self.seen.subscribe()
    }

    /// Reads these from the API server itself: the watch may not have told yet what was changed a moment ago.
    pub async fn refresh(&self, keys: &[PolicyKey]) -> Result<(), ApiError> {
        let reads = keys.iter().map(|key| self.read(key));
        let reading = futures::future::try_join_all(reads);
        let read = tokio::time::timeout(TIMEOUT, reading).await;
        let read = read.unwrap_or_else(|_| Err(failed("each policy", Trouble::Timeout)))?;
        for (key, policy) in keys.iter().zip(read) {
            self.change(|seen| match policy {
                Some(policy) => learn(seen, key.clone(), policy),
                None => drop(seen.objects.remove(key)),
            });
        }
        Ok(())
    }

    async fn read(&self, key: &PolicyKey) -> Result<Option<PolicySeen>, ApiError> {
        let (kind, name) = key;
        let object = api(&self.client, *kind).get_opt(name).await;
        let object = object.map_err(|error| failed(name, Trouble::of(&error, Words::Quoted)))?;
        Ok(object.map(policy_seen))
    }

    /// Tells only what is news.
    fn change(&self, change: impl FnOnce(&mut PoliciesSeen)) {
        self.seen.send_if_modified(|seen| {
            let before = seen.clone();
            change(seen);
            *seen != before
        });
    }
}

/// Takes a policy in, unless a later version of it is known, or a later one of its name: what was read anew may be ahead of the watch.
fn learn(seen: &mut PoliciesSeen, key: PolicyKey, policy: PolicySeen) {
    let is_news = |known: &PolicySeen| match known.uid == policy.uid {
        true => known.generation <= policy.generation,
        false => known.changed_at <= policy.changed_at,
    };
    if seen.objects.get(&key).is_none_or(is_news) {
        seen.objects.insert(key, policy);
    }
}

fn failed(name: &str, trouble: Trouble) -> ApiError {
    ApiError {
        verb: "get",
        object: format!("the admission policy {name}"),
        trouble,
    }
}

/// Follows all kinds; keeps the objects that are `ours`.
pub(super) fn follow(
    client: &Client,
    policies: &Arc<Policies>,
    ours: impl Fn(PolicyKind, &str) -> bool + Clone + Send + Sync + 'static,
    metrics: &Arc<Metrics>,
    tasks: &Tasks,
) {
    for kind in PolicyKind::ALL {
        let (policies, metrics, ours) = (policies.clone(), metrics.clone(), ours.clone());
        let api = api(client, kind);
        tasks.keep(format!("watch of {}", kind.name()), async move {
            let mut feed = Feed {
                kind,
                policies,
                ours: move |name: &str| ours(kind, name),
                listing: BTreeMap::new(),
                failures: 0,
                was_listing: false,
            };
            let anew = || watch_kind(api.clone(), streams::watching()).boxed();
            let mut events = anew();
            let mut backoff = watcher::DefaultBackoff::default();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        if streams::goes_on(&event) {
                            backoff.reset();
                        }
                        feed.take(event);
                    }
                    Err(error) => {
                        metrics.watch_error(kind.name());
                        let next = feed.fail(&error);
                        let wait = match next {
                            Next::Retry => backoff.next().unwrap_or(ABSENT_FOR),
                            Next::RetryLate => ABSENT_FOR,
                            Next::List => LISTED_AGAIN_AFTER,
                        };
                        tokio::time::sleep(wait).await;
                        if next == Next::List {
                            events = anew();
                        }
                    }
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
    }
}

/// As they are stored: our own types would not show a member that is newer than they are.
fn api(client: &Client, kind: PolicyKind) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind.name());
    Api::all_with(client.clone(), &ApiResource::from_gvk(&kind))
}

/// What is to be done after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The same again.
    Retry,
    /// The same again, but not soon.
    RetryLate,
    /// A listing. A watch that resumes where it was says nothing as long as nothing changes.
    List,
}

/// One kind's way into what is known.
struct Feed<F> {
    kind: PolicyKind,
    policies: Arc<Policies>,
    ours: F,
    listing: BTreeMap<String, PolicySeen>,
    failures: u32,
    /// Whether the last failure was that of a listing.
    was_listing: bool,
}

impl<F: Fn(&str) -> bool> Feed<F> {
    fn take(&mut self, event: Event<DynamicObject>) {
        if streams::goes_on(&event) {
            self.failures = 0;
        }
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(object) => {
                if let Some((name, policy)) = self.policy(object) {
                    self.listing.insert(name, policy);
                }
            }
            Event::InitDone => {
                let (kind, listing) = (self.kind, std::mem::take(&mut self.listing));
                self.policies.change(|seen| {
                    seen.objects.retain(|(of, _), _| *of != kind);
                    let listed = listing.into_iter();
                    seen.objects
                        .extend(listed.map(|(name, policy)| ((kind, name), policy)));
                    seen.readings.insert(kind, Reading::Done);
                });
            }
            Event::Apply(object) => {
                if let Some((name, policy)) = self.policy(object) {
                    let key = (self.kind, name);
                    self.policies.change(|seen| learn(seen, key, policy));
                }
            }
            Event::Delete(object) => {
                let (key, uid) = ((self.kind, object.name_any()), object.uid());
                self.policies.change(|seen| {
                    let known = seen.objects.get(&key).map(|known| known.uid.clone());
                    if known == uid {
                        seen.objects.remove(&key);
                    }
                });
            }
        }
    }

    /// What is known stays known as long as the watch is only interrupted: that it cannot be read is said by a listing alone, as only
    /// another one shows that it can.
    fn fail(&mut self, error: &watcher::Error) -> Next {
        let is_listing = matches!(
            error,
            watcher::Error::InitialListFailed(_) | watcher::Error::NoResourceVersion
        );
        // Those of a quiet watch may be of many weeks.
        if is_listing != self.was_listing {
            (self.was_listing, self.failures) = (is_listing, 0);
        }
        self.failures += 1;
        let is_refused = matches!(status_of(error), Some(401 | 403 | 404));
        if !is_listing && (is_refused || self.failures >= MOST_FAILURES) {
            return Next::List;
        }
        let (reading, next) = match status_of(error) {
            Some(404) => (Reading::Absent, Next::RetryLate),
            Some(401 | 403) => (Reading::Failed(error.to_string()), Next::Retry),
            _ if self.failures >= MOST_FAILURES => {
                (Reading::Failed(error.to_string()), Next::Retry)
            }
            _ => return Next::Retry,
        };
        let kind = self.kind;
        self.policies
            .change(|seen| drop(seen.readings.insert(kind, reading)));
        next
    }

    fn policy(&self, object: DynamicObject) -> Option<(String, PolicySeen)> {
        let name = object.name_any();
        (self.ours)(&name).then(|| (name, policy_seen(object)))
    }
}

fn policy_seen(mut object: DynamicObject) -> PolicySeen {
    let metadata = object.metadata;
    // Its generation counts how often the spec was another one. The first is as old as the object, even where a later write that changed
    // nothing has left its time: a server-side apply does, if a status was written before it.
    let first = metadata.generation == Some(1) && metadata.creation_timestamp.is_some();
    // What a status says changes nothing.
    let fields = metadata.managed_fields.into_iter().flatten();
    let changes = fields
        .filter(|entry| !first && entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter_map(|entry| entry.time);
    let times = changes
        .chain(metadata.creation_timestamp)
        .map(|time| time.0);
    PolicySeen {
        uid: metadata.uid.unwrap_or_default(),
        generation: metadata.generation.unwrap_or(0),
        changed_at: times.max(),
        spec: object.data.get_mut("spec").map_or(Value::Null, Value::take),
    }
}

fn status_of(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, changed: &str) -> DynamicObject {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {
                "name": name, "uid": "u", "generation": 3,
                "creationTimestamp": "2026-11-23T10:00:00Z",
                "managedFields": [
                    { "manager": "helm", "operation": "Apply", "time": changed },
                    { "manager": "status", "operation": "Apply", "subresource": "status", "time": "2026-11-23T23:00:00Z" },
                ],
            },
            "spec": { "failurePolicy": "Fail" },
        });
        serde_json::from_value(object).expect("an object")
    }

    /// Nobody is asked.
    fn nowhere() -> Client {
        crate::cluster::install_tls();
        let address = "http://127.0.0.1:1".parse().expect("an address");
        Client::try_from(kube::Config::new(address)).expect("a client")
    }

    fn names(policies: &Policies) -> Vec<String> {
        let seen = policies.seen.borrow();
        seen.objects.keys().map(|(_, name)| name.clone()).collect()
    }

    #[tokio::test]
    async fn a_watch_that_lags_behind_does_not_undo_what_was_read_anew() {
        let policies = Arc::new(Policies::new(nowhere()));
        let mut feed = Feed {
            kind: PolicyKind::Validating,
            policies: policies.clone(),
            ours: |_: &str| true,
            listing: BTreeMap::new(),
            failures: 0,
            was_listing: false,
        };
        let of_uid = |uid: &str, changed: &str| {
            let mut object = object("keyloan-a", changed);
            object.metadata.uid = Some(uid.into());
            object
        };
        let old = || of_uid("old", "2026-11-23T11:00:00Z");
        feed.take(Event::Apply(old()));
        let key = (PolicyKind::Validating, "keyloan-a".to_owned());
        let made_anew = policy_seen(of_uid("new", "2026-11-23T12:00:00Z"));
        policies.change(|seen| learn(seen, key.clone(), made_anew));
        feed.take(Event::Apply(old()));
        feed.take(Event::Delete(old()));
        assert_eq!(policies.seen.borrow().objects[&key].uid, "new");
        feed.take(Event::Delete(of_uid("new", "2026-11-23T12:00:00Z")));
        assert_eq!(names(&policies), [""; 0]);
    }

    #[tokio::test]
    async fn only_ours_are_kept_and_a_listing_drops_what_is_gone() {
        let policies = Arc::new(Policies::new(nowhere()));
        let mut feed = Feed {
            kind: PolicyKind::Validating,
            policies: policies.clone(),
            ours: |name: &str| name.starts_with("keyloan-"),
            listing: BTreeMap::new(),
            failures: 0,
            was_listing: false,
        };
        let earlier = "2026-11-23T09:00:00Z";
        let later = "2026-11-23T11:00:00Z";
        feed.take(Event::Init);
        feed.take(Event::InitApply(object("keyloan-a", earlier)));
        feed.take(Event::InitApply(object("another", earlier)));
        assert_eq!(names(&policies), [""; 0]);
        feed.take(Event::InitDone);
        feed.take(Event::Apply(object("keyloan-b", later)));
        assert_eq!(names(&policies), ["keyloan-a", "keyloan-b"]);
        let of = |name: &str| {
            let key = (PolicyKind::Validating, name.to_owned());
            policies.seen.borrow().objects[&key].clone()
        };
        assert_eq!(of("keyloan-a").spec, json!({ "failurePolicy": "Fail" }));
        let time = |text: &str| Some(text.parse().expect("a time"));
        assert_eq!(of("keyloan-a").changed_at, time("2026-11-23T10:00:00Z"));
        assert_eq!(of("keyloan-b").changed_at, time(later), "but not by status");
        let mut applied_again = object("keyloan-c", later);
        applied_again.metadata.generation = Some(1);
        feed.take(Event::Apply(applied_again));
        let created = time("2026-11-23T10:00:00Z");
        assert_eq!(of("keyloan-c").changed_at, created, "nothing was changed");

        feed.take(Event::Init);
        feed.take(Event::InitApply(object("keyloan-b", later)));
        feed.take(Event::InitDone);
        assert_eq!(names(&policies), ["keyloan-b"]);
        let mut earlier_version = object("keyloan-b", earlier);
        earlier_version.metadata.generation = Some(2);
        feed.take(Event::Apply(earlier_version));
        assert_eq!(of("keyloan-b").generation, 3, "a later one is known");
        feed.take(Event::Delete(object("keyloan-b", later)));
        assert_eq!(names(&policies), [""; 0]);
    }

    #[tokio::test]
    async fn an_interruption_is_borne_for_a_while_and_a_missing_right_is_not() {
        let policies = Arc::new(Policies::new(nowhere()));
        let mut feed = Feed {
            kind: PolicyKind::Mutating,
            policies: policies.clone(),
            ours: |_: &str| true,
            listing: BTreeMap::new(),
            failures: 0,
            was_listing: false,
        };
        let reading = || policies.seen.borrow().readings[&PolicyKind::Mutating].clone();
        let error = |code| {
            let status = kube::core::Status::failure("no", "Refused").with_code(code);
            kube::Error::Api(status.boxed())
        };
        let refused = |code| watcher::Error::InitialListFailed(error(code));
        feed.take(Event::Init);
        feed.take(Event::InitDone);
        for _ in 1..MOST_FAILURES {
            feed.fail(&watcher::Error::NoResourceVersion);
            assert_eq!(reading(), Reading::Done);
        }
        // Each listing begins with this, whatever comes of it.
        feed.take(Event::Init);
        feed.fail(&watcher::Error::NoResourceVersion);
        assert!(matches!(reading(), Reading::Failed(_)));
        feed.fail(&refused(404));
        assert_eq!(reading(), Reading::Absent);
        feed.take(Event::Init);
        feed.take(Event::InitDone);
        assert_eq!(reading(), Reading::Done);
        assert_eq!(feed.fail(&refused(403)), Next::Retry);
        assert!(matches!(reading(), Reading::Failed(_)));
        feed.take(Event::InitDone);

        // A watch that resumes says nothing: only a listing shows that the right is back, or the API server.
        let broken = |code| watcher::Error::WatchStartFailed(error(code));
        assert_eq!(feed.fail(&broken(403)), Next::List);
        feed.take(Event::InitDone);
        for _ in 1..MOST_FAILURES {
            assert_eq!(feed.fail(&broken(503)), Next::Retry);
        }
        assert_eq!(feed.fail(&broken(503)), Next::List);
        for _ in 1..MOST_FAILURES {
            feed.fail(&refused(503));
            assert_eq!(reading(), Reading::Done, "until the listing fails as often");
        }
        feed.fail(&refused(503));
        assert!(matches!(reading(), Reading::Failed(_)));
    }
}
