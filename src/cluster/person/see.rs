//! What a person sees: objects, lists of them, and how they change.

use futures::{Stream, StreamExt as _};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};

use super::{CallError, Person, Refused, called};
use crate::cluster::{Namespaced, streams};

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In one namespace.
    Namespace(String),
    /// In all of them.
    All,
}

/// Something that happened to the objects of a watch.
#[derive(Clone, Debug)]
pub enum Change<K> {
    /// It is there, or has changed.
    Seen(K),
    /// It is gone.
    Gone(K),
    /// All that is there has been told.
    AllSeen,
}

impl Person {
    /// One object.
    pub async fn get<K: Namespaced>(&self, namespace: &str, name: &str) -> Result<K, CallError> {
        let api = self.api::<K>(namespace);
        self.bounded("read", called::<K>(namespace, name), api.get(name))
            .await
    }

    /// One object as it is stored, fields that this version does not know included.
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

    /// The objects of a scope that a field selector (none, if empty) chooses.
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

    /// The same, and every change from then on. It ends only by an error that does not pass by itself.
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

    fn in_scope<K: Namespaced>(&self, scope: &Scope) -> Api<K> {
        match scope {
            Scope::Namespace(namespace) => self.api(namespace),
            Scope::All => Api::all(self.client.clone()),
        }
    }
}

/// What is no use to try again. Everything else passes, or the caller's patience ends.
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
