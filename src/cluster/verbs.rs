//! What the operator does to objects: a few verbs, each with a timeout and a count.

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

/// The timeout of a call once it has its turn.
pub const API_TIMEOUT: Duration = Duration::from_secs(10);
/// Asks the API server to respond with an object's metadata only.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// How many calls may be in progress at the same time.
const AT_A_TIME: usize = 16;
/// How many urgent calls may be in progress beside them.
const URGENT_AT_A_TIME: usize = 8;

/// How many objects one page of a list holds.
const LISTED_AT_A_TIME: u32 = 500;

/// Any namespaced object that the operator can handle.
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

/// How much of the API server's messages about objects of a kind may be repeated.
fn disclosure_of<K: Resource<DynamicType = ()>>() -> Disclosure {
    match (&*K::group(&()), &*K::kind(&())) {
        ("", "Secret") => Disclosure::CodeAndReason,
        _ => Disclosure::Message,
    }
}

/// The result of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The object is gone, or did not exist.
    Gone,
    /// The object disappears once its finalizers are done.
    Going,
}

/// All that is read of a response when nobody needs the object.
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

/// The same request, for a response with the object's metadata only.
fn of_metadata(
    request: kube::Result<http::Request<Vec<u8>>>,
) -> kube::Result<http::Request<Vec<u8>>> {
    let mut request = request?;
    let alone = http::HeaderValue::from_static(METADATA_ONLY);
    request.headers_mut().insert(http::header::ACCEPT, alone);
    Ok(request)
}

/// The verbs. Clones share the client and its bounds.
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

    /// The same, for calls that must not wait behind all others: delivering an issued link, and
    /// ending a loan.
    pub fn urgent(&self) -> Self {
        Self {
            turns: self.urgent.clone(),
            ..self.clone()
        }
    }

    /// The operator's metrics.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Creates an object and returns it as the API server stored it.
    pub async fn create<K: Namespaced, A: DeserializeOwned>(
        &self,
        object: &K,
    ) -> Result<A, ApiError> {
        let key = Key::of(object);
        let call = self.send(to_create(object, false));
        self.bounded::<K, _>("create", &key, call).await
    }

    /// Creates or replaces an object by server-side apply; if it names a version, only if that is
    /// the current one.
    pub async fn apply<K: Namespaced>(&self, object: &K) -> Result<K, ApiError> {
        let key = Key::of(object);
        let api = self.api::<K>(&key);
        let parameters = PatchParams::apply("keyloan").force();
        let apply = Patch::Apply(object);
        self.bounded::<K, _>("patch", &key, api.patch(&key.name, &parameters, &apply))
            .await
    }

    /// Dry-runs the creation of an object. The object must contain no secret: the result repeats
    /// the API server's message, even for a Secret.
    pub async fn dry_run<K: Namespaced>(&self, object: &K) -> Result<(), ApiError> {
        let key = Key::of(object);
        let call = self.send::<IgnoredAny>(of_metadata(to_create(object, true)));
        self.bounded_saying::<K, _>("dry-run", &key, Disclosure::Message, call)
            .await
            .map(drop)
    }

    /// Dry-runs a change that contains no secret. The changed object may contain one, and a refusal
    /// may quote it, so the result names only the refuser.
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

    /// Asks a question by creating a review object, which is not stored.
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

    /// Creates an object and returns its uid. The response contains no secret, even for a Secret.
    pub async fn create_unread<K: Namespaced>(&self, object: &K) -> Result<String, ApiError> {
        let key = Key::of(object);
        let call = self.send::<Receipt>(of_metadata(to_create(object, false)));
        let receipt = self.bounded::<K, _>("create", &key, call).await?;
        Ok(receipt.metadata.uid)
    }

    /// Reads the API server's schemas of an API group; `None` if it does not have the group.
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

    /// Reads an object from the API server; `None` if it does not exist.
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

    /// Reads an object's metadata from the API server. The response contains no secret, even for a
    /// Secret.
    pub async fn get_metadata<K: Namespaced>(
        &self,
        key: &Key,
    ) -> Result<Option<PartialObjectMeta<K>>, ApiError> {
        let api = self.api::<K>(key);
        self.bounded::<K, _>("get", key, api.get_metadata_opt(&key.name))
            .await
    }

    /// Reads one page of the filtered metadata of the objects that the selector matches in a
    /// namespace, with the token of the next page, if there is one. The response contains no
    /// secret, even for Secrets.
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
        // An object that cannot be decoded is not ours: we write nothing like that.
        let read = page
            .items
            .into_iter()
            .filter_map(|told| told.decoded().ok());
        let next = page.metadata.continue_.filter(|next| !next.is_empty());
        Ok((read.collect(), next))
    }

    /// Whether a namespace with this name exists.
    pub async fn has_namespace(&self, name: &str) -> Result<bool, ApiError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        let call = api.list_metadata(&named);
        let key = Key::cluster_wide(name);
        let found = self.bounded::<Namespace, _>("list", &key, call).await?;
        Ok(!found.items.is_empty())
    }

    /// Changes an object with a merge patch if it still has the version of `seen`; otherwise
    /// [`ApiErrorKind::Conflict`].
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

    /// Changes any version of an object with a merge patch. The response contains no secret, even
    /// for a Secret. Put the uid into the patch, so that it cannot change a later object with the
    /// same name.
    pub async fn patch_unread<K: Namespaced>(
        &self,
        key: &Key,
        change: &Value,
    ) -> Result<(), ApiError> {
        let call = self.send::<IgnoredAny>(of_metadata(to_patch::<K>(key, change, false)));
        self.bounded::<K, _>("patch", key, call).await.map(drop)
    }

    /// Writes a status if it differs from that of `seen`; `None` if it does not.
    ///
    /// The patch contains only the differences, and changes only this object, not a later one with
    /// the same name.
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

    /// Deletes the object with this uid, but no other one with the same name.
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
            // A conflict means that another object has the name: ours is gone.
            Err(ApiError {
                kind: ApiErrorKind::NotFound | ApiErrorKind::Conflict,
                ..
            }) => Ok(Deleted::Gone),
            Err(error) => Err(error),
        }
    }

    /// Unlike the client's own function, an error does not quote a response that cannot be parsed.
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
        // The semaphore is never closed. On a busy machine many calls may wait long for a turn,
        // which is no failure of the call.
        let turn = self.turns.acquire().await.ok();
        let outcome = match tokio::time::timeout(API_TIMEOUT, call).await {
            Ok(answer) => answer.map_err(|error| ApiErrorKind::of(&error, disclosure)),
            Err(_) => Err(ApiErrorKind::Timeout),
        };
        drop(turn);
        let kind = K::kind(&());
        let word = outcome.as_ref().err().map_or("ok", ApiErrorKind::word);
        let object = format!("{kind} {key}");
        self.metrics.operator.api_call(ApiCall {
            verb,
            kind: kind.into_owned(),
            outcome: word,
        });
        outcome.map_err(|kind| ApiError { verb, object, kind })
    }
}
