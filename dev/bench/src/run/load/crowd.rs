//! Many people who make requests: one client of the admin impersonates all of them.

use std::time::Instant;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use keyloan::api::AccessGrant;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{PartialObjectMeta, Request};
use kube::{Client, Resource, ResourceExt};
use serde_json::Value;

use crate::stage;
use crate::stopwatch::{self, Progress};

/// The group that may request items.
const ENGINEERING: &str = "engineering";
/// The group that the API server adds to every authenticated user.
const AUTHENTICATED: &str = "system:authenticated";

/// People who also belong to a group of their own, and make requests in one namespace.
pub struct Crowd {
    admin: Client,
    namespace: &'static str,
    group: &'static str,
}

/// A request of the crowd.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The number of the requester.
    person: usize,
    /// The grant's name.
    pub name: String,
    /// The grant's uid.
    pub uid: String,
    /// The time when it was sent.
    pub at: Instant,
}

impl Crowd {
    /// People of this group who make requests in this namespace.
    pub fn new(admin: &Client, namespace: &'static str, group: &'static str) -> Self {
        Self {
            admin: admin.clone(),
            namespace,
            group,
        }
    }

    /// Makes requests: each is the number of a person, and the spec of the request.
    pub async fn ask(
        &self,
        requests: impl IntoIterator<Item = (usize, Value)>,
        at_a_time: usize,
        what: &str,
        progress: &Progress,
    ) -> Result<Vec<Asked>> {
        let requests: Vec<_> = requests.into_iter().collect();
        let count = progress.count(what, requests.len());
        let asking = requests.into_iter().map(|(person, request)| {
            let count = &count;
            async move {
                let asked = self.ask_once(person, &request).await?;
                count.one();
                anyhow::Ok(asked)
            }
        });
        futures::stream::iter(asking)
            .buffered(at_a_time)
            .try_collect()
            .await
    }

    async fn ask_once(&self, person: usize, request: &Value) -> Result<Asked> {
        let path = AccessGrant::url_path(&(), Some(self.namespace));
        let asking =
            Request::new(path).create(&PostParams::default(), request.to_string().into_bytes())?;
        let at = stopwatch::now();
        let made = self.send(person, asking).await?;
        Ok(Asked {
            person,
            name: made.name_any(),
            uid: made.uid().unwrap_or_default(),
            at,
        })
    }

    /// The requester asks for the next link.
    pub async fn ask_for_renewal(&self, asked: &Asked) -> Result<()> {
        let path = AccessGrant::url_path(&(), Some(self.namespace));
        let change = Patch::Merge(stage::renewal());
        let asking = Request::new(path).patch(&asked.name, &PatchParams::default(), &change)?;
        self.send(asked.person, asking).await.map(drop)
    }

    /// Sends a request as one of the people.
    async fn send(
        &self,
        person: usize,
        mut request: http::Request<Vec<u8>>,
    ) -> Result<PartialObjectMeta<AccessGrant>> {
        let headers = request.headers_mut();
        headers.append("Impersonate-User", user(person).parse()?);
        for group in [ENGINEERING, self.group, AUTHENTICATED] {
            headers.append("Impersonate-Group", group.parse()?);
        }
        let answer = self.admin.request(request).await;
        answer.with_context(|| format!("cannot send a request as {}", user(person)))
    }
}

/// A person's username, which is their e-mail address, too.
pub fn user(person: usize) -> String {
    format!("user-{person}@example.com")
}

/// The uids of these requests.
pub fn uids(asked: &[Asked]) -> Vec<String> {
    asked.iter().map(|asked| asked.uid.clone()).collect()
}
