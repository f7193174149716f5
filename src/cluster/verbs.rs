//! What the operator does to objects: few verbs, each bounded in time and counted.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{
    DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions,
};
use kube::core::{ObjectList, PartialObjectMeta, Request, object::HasStatus};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::errors::{ApiError, ApiErrorKind, Disclosure, ErrorClass};
use super::key::Key;
use super::merge_patch;
use super::metadata_filter::Watched;
use super::received::Received;
use crate::telemetry::{ApiCall, Metrics};

/// No call takes longer once it has its turn.
pub const API_TIMEOUT: Duration = Duration::from_secs(10);
/// Has the API server answer with an object's metadata alone.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// So many calls are under way at a time.
const AT_A_TIME: usize = 16;
/// So many more that must not wait behind those.
const URGENT_AT_A_TIME: usize = 8;

/// So many objects are listed at a time.
const LISTED_AT_A_TIME: u32 = 500;

/// Any object in a namespace that the operator can handle.
pub trait Namespaced:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Namespaced for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// How much may be repeated of what the API server says of objects of a kind.
fn disclosure_of<K: Resource<DynamicType = ()>>() -> Disclosure {
    match (&*K::group(&()), &*K::kind(&())) {
        ("", "Secret") => Disclosure::CodeAndReason,
        _ => Disclosure::Message,
    }
}

/// What came of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, or was before.
    Gone,
    /// It goes once its finalizers are done.
    Going,
}

/// All that is read of an answer where nobody looks at the object.
#[derive(Deserialize)]
struct Receipt {
    metadata: ReceiptMeta,
}

#[derive(Deserialize)]
struct ReceiptMeta {
    uid: String,
}

fn path<K: Namespaced>(key: &Key) -> Request {
    Request::new(K::url_path(&(), Some(&key.namespace)))
}

fn built(
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> kube::Result<http::Request<Vec<u8>>> {
    request.map_err(kube::Error::BuildRequest)
}

fn to_create<K: Namespaced>(object: &K, dry_run: bool) -> kube::Result<http::Request<Vec<u8>>> {
    let parameters = PostParams {
        dry_run,
        ..PostParams::default()
    };
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
    built(path::<K>(&Key::of(object)).create(&parameters, body))
}

fn to_patch<K: Namespaced>(
    key: &Key,
    change: &Value,
    dry_run: bool,
) -> kube::Result<http::Request<Vec<u8>>> {
    let parameters = PatchParams {
        dry_run,
        ..PatchParams::default()
    };
    built(path::<K>(key).patch(&key.name, &parameters, &Patch::Merge(change)))
}

/// The same request, to be answered with the object's metadata alone.
fn of_metadata(
    request: kube::Result<http::Request<Vec<u8>>>,
) -> kube::Result<http::Request<Vec<u8>>> {
    let mut request = request?;
    let alone = http::HeaderValue::from_static(METADATA_ONLY);
    request.headers_mut().insert(http::header::ACCEPT, alone);
    Ok(request)
}

/// The verbs. Clones share the same client and bounds.
#[derive(Clone)]
pub struct Verbs {
    client: Client,
    turns: Arc<Semaphore>,
    urgent: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Verbs {
    pub(super) fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            urgent: Arc::new(Semaphore::new(URGENT_AT_A_TIME)),
            metrics,
        }
    }

    /// The same, for what must not wait behind everything else: handing over a link that has been made, and ending a loan.
    pub fn urgent(&self) -> Self {
        Self {
            turns: self.urgent.clone(),
            ..self.clone()
        }
    }

    pub(super) fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Creates an object, which is read as the API server has made it.
    pub async fn create<K: Namespaced, A: DeserializeOwned>(
        &self,
        object: &K,
    ) -> Result<A, ApiError> {
        let key = Key::of(object);
        let call = self.send(to_create(object, false));
        self.bounded::<K, _>("create", &key, call).await
    }

    /// Creates an object, or has it say what this one says; if this one names a version, only if it is still that.
    pub async fn apply<K: Namespaced>(&self, object: &K) -> Result<K, ApiError> {
        let key = Key::of(object);
        let api = self.api::<K>(&key);
        let parameters = PatchParams::apply("keyloan").force();
        let apply = Patch::Apply(object);
        self.bounded::<K, _>("patch", &key, api.patch(&key.name, &parameters, &apply))
            .await
    }

    /// Has the API server say what would become of a new object, which it does not store. The object must hold nothing secret: what is
    /// said of it is repeated, also of a Secret.
    pub async fn dry_run<K: Namespaced>(&self, object: &K) -> Result<(), ApiError> {
        let key = Key::of(object);
        let call = self.send::<IgnoredAny>(of_metadata(to_create(object, true)));
        self.bounded_saying::<K, _>("dry-run", &key, Disclosure::Message, call)
            .await
            .map(drop)
    }

    /// Has the API server say what would become of an object by a change that holds nothing secret, which it does not store. The object
    /// may hold something, and whoever refuses may quote that: so only who refuses is repeated.
    pub async fn dry_run_patch<K: Namespaced>(
        &self,
        key: &Key,
        change: &Value,
    ) -> Result<(), ApiError> {
        let call = self.send::<IgnoredAny>(of_metadata(to_patch::<K>(key, change, true)));
        self.bounded_saying::<K, _>("dry-run", key, Disclosure::Refuser, call)
            .await
            .map(drop)
    }

    /// Puts a question that is put by creating an object, which is not stored either.
    pub async fn review<K>(&self, question: &K) -> Result<K, ApiError>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let (key, parameters) = (Key::cluster_wide(""), PostParams::default());
        self.bounded::<K, _>("create", &key, api.create(&parameters, question))
            .await
    }

    /// Creates an object, and is told its uid: of a Secret, nothing secret comes back.
    pub async fn create_unread<K: Namespaced>(&self, object: &K) -> Result<String, ApiError> {
        let key = Key::of(object);
        let call = self.send::<Receipt>(of_metadata(to_create(object, false)));
        let receipt = self.bounded::<K, _>("create", &key, call).await?;
        Ok(receipt.metadata.uid)
    }

    /// Reads how the API server describes the kinds of a group; `None` if it has none.
    pub async fn schemas(&self, group: &str, version: &str) -> Result<Option<Value>, ApiError> {
        let path = format!("/openapi/v3/apis/{group}");
        let call = async {
            let request = Request::new(path).get(version, &GetParams::default());
            let request = request.map_err(kube::Error::BuildRequest)?;
            self.client.request::<Value>(request).await
        };
        let outcome = match tokio::time::timeout(API_TIMEOUT, call).await {
            Ok(answer) => answer.map_err(|error| ApiErrorKind::of(&error, Disclosure::Message)),
            Err(_) => Err(ApiErrorKind::Timeout),
        };
        match outcome {
            Ok(schemas) => Ok(Some(schemas)),
            Err(ApiErrorKind::NotFound) => Ok(None),
            Err(kind) => Err(ApiError {
                verb: "read",
                object: format!("the schemas of {group}"),
                kind,
            }),
        }
    }

    /// Reads an object from the API server itself; `None` if it does not exist.
    pub async fn get<K: Namespaced, A: DeserializeOwned>(
        &self,
        key: &Key,
    ) -> Result<Option<A>, ApiError> {
        let request = path::<K>(key).get(&key.name, &GetParams::default());
        let call = async {
            match self.send(built(request)).await {
                Ok(object) => Ok(Some(object)),
                Err(error) if ErrorClass::of(&error) == ErrorClass::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.bounded::<K, _>("get", key, call).await
    }

    /// Reads an object's metadata from the API server itself: of a Secret, nothing secret.
    pub async fn get_metadata<K: Namespaced>(
        &self,
        key: &Key,
    ) -> Result<Option<PartialObjectMeta<K>>, ApiError> {
        let api = self.api::<K>(key);
        self.bounded::<K, _>("get", key, api.get_metadata_opt(&key.name))
            .await
    }

    /// One page of the objects of a kind in a namespace that this selects, by what is kept of their metadata: of a Secret, nothing secret.
    /// With it comes what the next page is asked for by, if there is one.
    pub async fn page_of_metadata<K: Namespaced>(
        &self,
        namespace: &str,
        selector: &str,
        next: Option<&str>,
    ) -> Result<(Vec<PartialObjectMeta<K>>, Option<String>), ApiError>
    where
        PartialObjectMeta<K>: Watched,
    {
        let key = Key::new(namespace, "");
        let mut parameters = ListParams::default()
            .labels(selector)
            .limit(LISTED_AT_A_TIME);
        parameters.continue_token = next.map(str::to_owned);
        let request = built(path::<K>(&key).list_metadata(&parameters));
        let call = self.send::<ObjectList<Received<PartialObjectMeta<K>>>>(request);
        let page = self.bounded::<K, _>("list", &key, call).await?;
        // What cannot be read is not ours: we write nothing of that kind.
        let read = page
            .items
            .into_iter()
            .filter_map(|told| told.decoded().ok());
        let next = page.metadata.continue_.filter(|next| !next.is_empty());
        Ok((read.collect(), next))
    }

    /// Whether there is a namespace of this name.
    pub async fn has_namespace(&self, name: &str) -> Result<bool, ApiError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        let call = api.list_metadata(&named);
        let key = Key::cluster_wide(name);
        let found = self.bounded::<Namespace, _>("list", &key, call).await?;
        Ok(!found.items.is_empty())
    }

    /// Changes an object by a merge patch if it is still the version that `seen` is; else [`ApiErrorKind::Conflict`].
    pub async fn swap<K: Namespaced, A: DeserializeOwned>(
        &self,
        seen: &K,
        mut change: Value,
    ) -> Result<A, ApiError> {
        let key = Key::of(seen);
        change["metadata"]["uid"] = json!(seen.uid());
        change["metadata"]["resourceVersion"] = json!(seen.resource_version());
        let call = self.send(to_patch::<K>(&key, &change, false));
        self.bounded::<K, _>("patch", &key, call).await
    }

    /// Changes an object by a merge patch, whatever its version is, and is told nothing of it: of a Secret, nothing secret comes back.
    /// Put the uid into the patch to hit no later namesake.
    pub async fn patch_unread<K: Namespaced>(
        &self,
        key: &Key,
        change: &Value,
    ) -> Result<(), ApiError> {
        let call = self.send::<IgnoredAny>(of_metadata(to_patch::<K>(key, change, false)));
        self.bounded::<K, _>("patch", key, call).await.map(drop)
    }

    /// Writes a status where it differs from the one that `seen` has; `None` if it does not.
    ///
    /// Only the differences are written, and only into this very object, not into a later one of the same name.
    pub async fn patch_status<K, A: DeserializeOwned>(
        &self,
        seen: &K,
        status: &K::Status,
    ) -> Result<Option<A>, ApiError>
    where
        K: Namespaced + HasStatus,
        K::Status: Serialize + PartialEq,
    {
        if seen.status() == Some(status) {
            return Ok(None);
        }
        let key = Key::of(seen);
        let unwritable = |error: serde_json::Error| ApiError {
            verb: "write the status of",
            object: format!("{} {key}", K::kind(&())),
            kind: ApiErrorKind::Invalid(error.to_string()),
        };
        let before = serde_json::to_value(seen.status()).map_err(unwritable)?;
        let after = serde_json::to_value(status).map_err(unwritable)?;
        let Some(change) = merge_patch::between(&before, &after) else {
            return Ok(None);
        };
        let change = json!({"metadata": {"uid": seen.uid()}, "status": change});
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&change));
        let request = path::<K>(&key).patch_subresource("status", &key.name, &parameters, &patch);
        let call = self.send(built(request));
        self.bounded::<K, _>("write the status of", &key, call)
            .await
            .map(Some)
    }

    /// Deletes the object of this uid, and no other one of the same name.
    pub async fn delete<K: Namespaced>(&self, key: &Key, uid: &str) -> Result<Deleted, ApiError> {
        let this_one = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        };
        let parameters = DeleteParams {
            preconditions: Some(this_one),
            ..DeleteParams::background()
        };
        let api = self.api::<K>(key);
        match self
            .bounded::<K, _>("delete", key, api.delete(&key.name, &parameters))
            .await
        {
            Ok(answer) => {
                let going = answer.left().is_some_and(|left| {
                    left.meta()
                        .finalizers
                        .as_ref()
                        .is_some_and(|names| !names.is_empty())
                });
                Ok(if going { Deleted::Going } else { Deleted::Gone })
            }
            // A conflict means that there is another one of that name: ours is gone.
            Err(ApiError {
                kind: ApiErrorKind::NotFound | ApiErrorKind::Conflict,
                ..
            }) => Ok(Deleted::Gone),
            Err(error) => Err(error),
        }
    }

    /// Unlike the client's own way, this says nothing of what is in an answer that cannot be read.
    async fn send<A: DeserializeOwned>(
        &self,
        request: kube::Result<http::Request<Vec<u8>>>,
    ) -> kube::Result<A> {
        let text = self.client.request_text(request?).await?;
        serde_json::from_str(&text).map_err(kube::Error::SerdeError)
    }

    fn api<K: Namespaced>(&self, key: &Key) -> Api<K> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }

    async fn bounded<K: Resource<DynamicType = ()>, T>(
        &self,
        verb: &'static str,
        key: &Key,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ApiError> {
        self.bounded_saying::<K, T>(verb, key, disclosure_of::<K>(), call)
            .await
    }

    async fn bounded_saying<K: Resource<DynamicType = ()>, T>(
        &self,
        verb: &'static str,
        key: &Key,
        disclosure: Disclosure,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ApiError> {
        // The semaphore is never closed. On a busy machine many may wait for long: that is no failure of the call.
        let turn = self.turns.acquire().await.ok();
        let outcome = match tokio::time::timeout(API_TIMEOUT, call).await {
            Ok(answer) => answer.map_err(|error| ApiErrorKind::of(&error, disclosure)),
            Err(_) => Err(ApiErrorKind::Timeout),
        };
        drop(turn);
        let kind = K::kind(&());
        let word = outcome.as_ref().err().map_or("ok", ApiErrorKind::word);
        let object = format!("{kind} {key}");
        self.metrics.api_call(ApiCall {
            verb,
            kind: kind.into_owned(),
            outcome: word,
        });
        outcome.map_err(|kind| ApiError { verb, object, kind })
    }
}
