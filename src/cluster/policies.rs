//! Our admission policies and bindings in the cluster: reads them, watches them for changes, and
//! stores what was seen of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta};
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher as watch_kind;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::sync::watch;

use super::errors::{ApiError, ApiErrorKind, Disclosure, ErrorClass, with_retries};
use super::key::Key;
use super::streams;
use super::verbs::Verbs;
use crate::plan::boundary::{Memory, PoliciesSeen, PolicyKey, PolicyKind, PolicySeen};
use crate::runtime::Tasks;
use crate::telemetry::Metrics;

/// How often to ask whether the API server now knows a kind that it lacked: it may have been
/// upgraded.
const ABSENT_FOR: Duration = Duration::from_secs(600);
/// The timeout for reading them all.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many are read at the same time.
const AT_A_TIME: usize = 8;
/// The ConfigMap that stores what was seen, and its only key. Only RBAC guards it, because it tells
/// whether the policies were enforced.
const KEPT: &str = "keyloan-boundary";
const SEEN: &str = "seen.json";

/// Our policies and bindings.
pub struct Policies {
    client: Client,
    verbs: Verbs,
    changes: watch::Sender<()>,
}

/// What is stored about the policies, and the version of the ConfigMap.
#[derive(Debug)]
pub struct Kept {
    /// The stored memory; `None` if there is none that can be read.
    pub memory: Option<Memory>,
    version: Option<String>,
}

impl Kept {
    /// Whether nothing was ever stored here. A ConfigMap that is unreadable or was emptied does
    /// exist.
    pub fn is_first(&self) -> bool {
        self.version.is_none()
    }
}

impl Policies {
    pub(super) fn new(client: Client, verbs: Verbs) -> Self {
        Self {
            client,
            verbs,
            changes: watch::Sender::default(),
        }
    }

    /// Reports whenever one of them may have changed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Reads these from the API server; leaves out those that do not exist.
    pub async fn read(&self, keys: Vec<PolicyKey>) -> Result<PoliciesSeen, ApiError> {
        let reads = keys.into_iter().map(|key| self.read_one(key));
        let reading = stream::iter(reads).buffer_unordered(AT_A_TIME);
        let read = tokio::time::timeout(TIMEOUT, reading.try_collect::<Vec<_>>()).await;
        let read = read.unwrap_or_else(|_| {
            Err(failed(
                "the admission policies".into(),
                ApiErrorKind::Timeout,
            ))
        })?;
        Ok(read.into_iter().flatten().collect())
    }

    async fn read_one(&self, key: PolicyKey) -> Result<Option<(PolicyKey, PolicySeen)>, ApiError> {
        let policies = api(&self.client, key.0);
        let read = || async {
            let object = policies.get_opt(&key.1).await;
            object.map_err(|error| {
                failed(
                    format!("the admission policy {}", key.1),
                    ApiErrorKind::of(&error, Disclosure::Message),
                )
            })
        };
        let object = with_retries(read).await?;
        Ok(object.map(|object| (key, policy_seen(object))))
    }

    /// Reads what is stored in this namespace.
    pub async fn kept(&self, namespace: &str) -> Result<Kept, ApiError> {
        let key = Key::new(namespace, KEPT);
        let object = self
            .verbs
            .get::<ConfigMap, ConfigMap>(&key)
            .await?
            .unwrap_or_default();
        let text = object.data.as_ref().and_then(|data| data.get(SEEN));
        Ok(Kept {
            memory: text.and_then(|text| serde_json::from_str(text).ok()),
            version: object.resource_version(),
        })
    }

    /// Replaces what is stored, unless somebody else has written it since; then
    /// [`ApiErrorKind::Conflict`].
    pub async fn keep(
        &self,
        namespace: &str,
        before: Kept,
        memory: Option<&Memory>,
    ) -> Result<(), ApiError> {
        let text = memory.map(serde_json::to_string).transpose();
        let text = text.map_err(|error| ApiError {
            verb: "write",
            object: format!("ConfigMap {namespace}/{KEPT}"),
            kind: ApiErrorKind::Invalid(error.to_string()),
        })?;
        let object = ConfigMap {
            metadata: ObjectMeta {
                name: Some(KEPT.into()),
                namespace: Some(namespace.into()),
                resource_version: before.version,
                ..ObjectMeta::default()
            },
            data: text.map(|text| BTreeMap::from([(SEEN.into(), text)])),
            ..ConfigMap::default()
        };
        self.verbs.apply(&object).await.map(drop)
    }
}

fn failed(object: String, kind: ApiErrorKind) -> ApiError {
    ApiError {
        verb: "get",
        object,
        kind,
    }
}

/// Watches all kinds for changes of the objects that are `ours`.
pub(super) fn follow(
    client: &Client,
    policies: &Arc<Policies>,
    ours: impl Fn(&PolicyKey) -> bool + Clone + Send + Sync + 'static,
    metrics: &Arc<Metrics>,
    tasks: &Tasks,
) {
    for kind in PolicyKind::ALL {
        let (policies, metrics, ours) = (policies.clone(), metrics.clone(), ours.clone());
        metrics.operator.watches(kind.name());
        let api = api(client, kind);
        tasks.keep(format!("watch of {}", kind.name()), async move {
            let mut events = watch_kind(api, streams::watching()).boxed();
            let mut backoff = watcher::DefaultBackoff::default();
            while let Some(event) = events.next().await {
                let is_ours = |object: &DynamicObject| ours(&(kind, object.name_any()));
                let may_be_news = match &event {
                    Ok(Event::Apply(object) | Event::Delete(object)) => is_ours(object),
                    // A new listing may hide a change during the interruption.
                    Ok(Event::InitDone) => true,
                    Ok(Event::Init | Event::InitApply(_)) | Err(_) => false,
                };
                if may_be_news {
                    policies.changes.send_replace(());
                }
                match event {
                    Ok(event) if streams::goes_on(&event) => backoff.reset(),
                    Ok(_) => {}
                    // Older clusters have no mutating policies.
                    Err(error) if is_absent(&error) => tokio::time::sleep(ABSENT_FOR).await,
                    Err(_) => {
                        metrics.operator.watch_error(kind.name());
                        let wait = backoff.next().unwrap_or(ABSENT_FOR);
                        tokio::time::sleep(wait).await;
                    }
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
    }
}

/// As stored: our own types would drop fields that are newer than they are.
pub(super) fn api(client: &Client, kind: PolicyKind) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind.name());
    Api::all_with(client.clone(), &ApiResource::from_gvk(&kind))
}

/// The parts of a policy or binding that are compared.
pub(super) fn policy_seen(mut object: DynamicObject) -> PolicySeen {
    PolicySeen {
        uid: object.metadata.uid.unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or(0),
        spec: object.data.get_mut("spec").map_or(Value::Null, Value::take),
    }
}

fn is_absent(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(error) if ErrorClass::of(error) == ErrorClass::NotFound)
}
