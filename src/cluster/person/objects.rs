//! What a person reads, watches and writes: objects, lists of them, and the link of a loan.

use futures::{Stream, StreamExt as _};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use secrecy::SecretString;
use serde_json::json;

use super::{CallError, Person, Refused, called};
use crate::cluster::{Namespaced, streams};

/// The API server records this name for the fields that a call sets.
const FIELD_MANAGER: &str = "kubectl-keyloan";

/// The namespaces to look in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One namespace.
    Namespace(String),
    /// All namespaces.
    All,
}

/// A change of the watched objects.
#[derive(Clone, Debug)]
pub enum Change<K> {
    /// The object exists, or has changed.
    Seen(K),
    /// The object is gone.
    Gone(K),
    /// All existing objects have been reported.
    AllSeen,
}

/// The number of objects on a page.
const PAGE: u32 = 250;

/// A page of a long list.
#[derive(Clone, Debug)]
pub struct Page<K> {
    /// Its objects.
    pub items: Vec<K>,
    /// Identifies the next page, if there is one.
    pub next: Option<String>,
}

/// The content of a link's Secret.
#[derive(Debug)]
pub struct Link {
    /// The link. Its URL contains the key.
    pub url: SecretString,
    /// The link's number within the loan, from 1.
    pub sequence: u32,
    /// How to use the lent item.
    pub access_details: Option<String>,
}

impl Person {
    /// Reads one object.
    pub async fn get<K: Namespaced>(&self, namespace: &str, name: &str) -> Result<K, CallError> {
        let api = self.api::<K>(namespace);
        self.bounded("read", called::<K>(namespace, name), api.get(name))
            .await
    }

    /// Reads one object as stored, including fields that this version does not know.
    pub async fn get_as_stored<K: Namespaced>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<DynamicObject, CallError> {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        self.bounded("read", called::<K>(namespace, name), api.get(name))
            .await
    }

    /// Lists the objects in a scope as stored, including fields that this version does not know,
    /// sorted by namespace and name.
    pub async fn list_as_stored<K: Namespaced>(
        &self,
        scope: &Scope,
    ) -> Result<Vec<DynamicObject>, CallError> {
        let resource = ApiResource::erase::<K>(&());
        let client = self.client.clone();
        let api: Api<DynamicObject> = match scope {
            Scope::Namespace(namespace) => Api::namespaced_with(client, namespace, &resource),
            Scope::All => Api::all_with(client, &resource),
        };
        let parameters = ListParams::default();
        let listed = self.bounded("list", many::<K>(scope), api.list(&parameters));
        let mut items = listed.await?.items;
        items.sort_by_cached_key(|item| (item.namespace(), item.name_any()));
        Ok(items)
    }

    /// Lists the objects in a scope that a field selector matches (all, if it is empty).
    pub async fn list<K: Namespaced>(
        &self,
        scope: &Scope,
        fields: &str,
    ) -> Result<Vec<K>, CallError> {
        let parameters = ListParams::default().fields(fields);
        let api = self.in_scope::<K>(scope);
        let listed = self.bounded("list", many::<K>(scope), api.list(&parameters));
        Ok(listed.await?.items)
    }

    /// One page of the same list: the first one, or the one after another page.
    pub async fn page<K: Namespaced>(
        &self,
        scope: &Scope,
        fields: &str,
        after: Option<&str>,
    ) -> Result<Page<K>, CallError> {
        let mut parameters = ListParams::default().fields(fields).limit(PAGE);
        parameters.continue_token = after.map(str::to_owned);
        let api = self.in_scope::<K>(scope);
        let listed = self.bounded("list", many::<K>(scope), api.list(&parameters));
        let listed = listed.await?;
        Ok(Page {
            items: listed.items,
            next: listed.metadata.continue_.filter(|next| !next.is_empty()),
        })
    }

    /// Lists the same objects and then watches them. The stream ends only with an error that does
    /// not pass by itself.
    pub fn watch<K: Namespaced>(
        &self,
        scope: &Scope,
        fields: &str,
    ) -> impl Stream<Item = Result<Change<K>, CallError>> + Send + use<K> {
        let config = streams::watching().fields(fields);
        let object = many::<K>(scope);
        let events = watcher(self.in_scope::<K>(scope), config).default_backoff();
        events.filter_map(move |event| {
            let change = match event {
                Ok(watcher::Event::Init) => None,
                Ok(watcher::Event::InitApply(seen) | watcher::Event::Apply(seen)) => {
                    Some(Ok(Change::Seen(seen)))
                }
                Ok(watcher::Event::Delete(gone)) => Some(Ok(Change::Gone(gone))),
                Ok(watcher::Event::InitDone) => Some(Ok(Change::AllSeen)),
                Err(error) => lasting(error, &object).map(Err),
            };
            futures::future::ready(change)
        })
    }

    /// Reads the link from the Secret with this name, which only the borrower may read.
    pub async fn link(&self, namespace: &str, secret: &str) -> Result<Link, CallError> {
        let api = self.api::<Secret>(namespace);
        let object = called::<Secret>(namespace, secret);
        let stored = self
            .bounded("read", object.clone(), api.get(secret))
            .await?;
        let mut data = stored.data.unwrap_or_default();
        let mut text = |key: &str| {
            let ByteString(bytes) = data.remove(key)?;
            String::from_utf8(bytes).ok()
        };
        let unreadable = || CallError {
            verb: "read",
            object: object.clone(),
            refused: Refused::Unavailable("it contains no link".into()),
        };
        Ok(Link {
            url: text("url").ok_or_else(unreadable)?.into(),
            sequence: text("sequence").and_then(|n| n.parse().ok()).unwrap_or(0),
            access_details: text("accessDetails"),
        })
    }

    /// Creates an object, with its name or with one that the API server generates from
    /// `generateName`.
    pub async fn create<K: Namespaced>(&self, namespace: &str, object: &K) -> Result<K, CallError> {
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        let meta = object.meta();
        let name = meta.name.as_ref().or(meta.generate_name.as_ref());
        let called = called::<K>(namespace, name.map_or("", String::as_str));
        let api = self.api::<K>(namespace);
        self.bounded("create", called, api.create(&parameters, object))
            .await
    }

    /// Asks for the object that [`create`](Self::create) would make. Nothing is stored.
    pub async fn try_create<K: Namespaced>(
        &self,
        namespace: &str,
        object: &K,
    ) -> Result<K, CallError> {
        let parameters = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let name = object.meta().name.as_deref().unwrap_or_default();
        let api = self.api::<K>(namespace);
        let call = api.create(&parameters, object);
        self.bounded("try", called::<K>(namespace, name), call)
            .await
    }

    /// Sets an annotation on the object with this uid, but not on a later one with the same name.
    pub async fn annotate<K: Namespaced>(
        &self,
        (namespace, name, uid): (&str, &str, &str),
        key: &str,
        value: &str,
    ) -> Result<K, CallError> {
        let patch = json!({ "metadata": { "uid": uid, "annotations": { key: value } } });
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let api = self.api::<K>(namespace);
        let patch = Patch::Merge(&patch);
        let call = api.patch(name, &parameters, &patch);
        self.bounded("annotate", called::<K>(namespace, name), call)
            .await
    }

    fn in_scope<K: Namespaced>(&self, scope: &Scope) -> Api<K> {
        match scope {
            Scope::Namespace(namespace) => self.api(namespace),
            Scope::All => Api::all(self.client.clone()),
        }
    }
}

/// Errors that a retry cannot fix. All others pass, or the caller's timeout ends the wait.
fn lasting(error: watcher::Error, object: &str) -> Option<CallError> {
    let (watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) =
        error
    else {
        return None;
    };
    let refused = Refused::of(error);
    let lasts = matches!(
        refused,
        Refused::NoRight(_) | Refused::NotSignedIn(_) | Refused::NotInstalled | Refused::Invalid(_)
    );
    lasts.then(|| CallError {
        verb: "watch",
        object: object.to_owned(),
        refused,
    })
}

fn many<K: Namespaced>(scope: &Scope) -> String {
    match scope {
        Scope::Namespace(namespace) => format!("{} in {namespace}", K::plural(&())),
        Scope::All => format!("{} in all namespaces", K::plural(&())),
    }
}
