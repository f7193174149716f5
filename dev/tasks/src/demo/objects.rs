//! Kubernetes objects as one person sees them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use keyloan_cluster::{ControlPlane, apply_yaml};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use kube::{Api, Client};
use serde_json::{Value, json};

/// How often to look while waiting.
const INTERVAL: Duration = Duration::from_millis(100);

/// One person's access to the cluster.
pub struct Person {
    client: Client,
}

/// A kind of objects, as in `keyloan.dev/v1alpha1, AccessGrant`.
#[derive(Clone, Copy)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
}

impl Kind {
    const fn of(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
        }
    }

    fn resource(self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&gvk, self.plural)
    }
}

pub const INTEGRATION: Kind = Kind::of(
    "keyloan.dev",
    "v1alpha1",
    "OnePasswordIntegration",
    "onepasswordintegrations",
);
pub const FLOW: Kind = Kind::of("keyloan.dev", "v1alpha1", "AccessFlow", "accessflows");
pub const GRANT: Kind = Kind::of("keyloan.dev", "v1alpha1", "AccessGrant", "accessgrants");
pub const DECISION: Kind = Kind::of(
    "keyloan.dev",
    "v1alpha1",
    "AccessDecision",
    "accessdecisions",
);
pub const RECORD: Kind = Kind::of("keyloan.dev", "v1alpha1", "AccessRecord", "accessrecords");
pub const SECRET: Kind = Kind::of("", "v1", "Secret", "secrets");
pub const ROLE: Kind = Kind::of("rbac.authorization.k8s.io", "v1", "Role", "roles");
pub const ROLE_BINDING: Kind = Kind::of(
    "rbac.authorization.k8s.io",
    "v1",
    "RoleBinding",
    "rolebindings",
);

impl Person {
    /// One of the control plane's people.
    pub async fn of(cluster: &ControlPlane, name: &str) -> Result<Self> {
        Ok(Self {
            client: cluster.client(name).await?,
        })
    }

    /// Applies manifests; returns the objects as they are now.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        Ok(apply_yaml(&self.client, yaml).await?)
    }

    /// Reads an object.
    pub async fn get(
        &self,
        kind: Kind,
        (namespace, name): (&str, &str),
    ) -> kube::Result<DynamicObject> {
        self.api(kind, namespace).get(name).await
    }

    /// Creates an object under a name that the API server chooses.
    pub async fn create(
        &self,
        kind: Kind,
        namespace: &str,
        spec: Value,
    ) -> kube::Result<DynamicObject> {
        let mut object = DynamicObject::new("", &kind.resource()).data(json!({ "spec": spec }));
        object.metadata.name = None;
        object.metadata.generate_name = Some("by-hand-".to_owned());
        let api = self.api(kind, namespace);
        api.create(&PostParams::default(), &object).await
    }

    /// Changes an object.
    pub async fn patch(
        &self,
        kind: Kind,
        (namespace, name): (&str, &str),
        change: Value,
    ) -> kube::Result<DynamicObject> {
        let api = self.api(kind, namespace);
        let params = PatchParams::default();
        api.patch(name, &params, &Patch::Merge(change)).await
    }

    /// Deletes an object.
    pub async fn delete(&self, kind: Kind, (namespace, name): (&str, &str)) -> kube::Result<()> {
        let api = self.api(kind, namespace);
        api.delete(name, &DeleteParams::default()).await.map(drop)
    }

    /// Waits until an object is as it should be; the error tells how it was instead.
    pub async fn until(
        &self,
        kind: Kind,
        (namespace, name): (&str, &str),
        at_most: Duration,
        wanted: impl Fn(&DynamicObject) -> bool,
    ) -> Result<DynamicObject> {
        let started = Instant::now();
        let api = self.api(kind, namespace);
        loop {
            let seen = api.get_opt(name).await?;
            match seen {
                Some(object) if wanted(&object) => return Ok(object),
                seen if started.elapsed() > at_most => {
                    let state =
                        seen.map_or("is not there".to_owned(), |object| conditions(&object));
                    bail!("{} {namespace}/{name} {state}", kind.kind);
                }
                _ => tokio::time::sleep(INTERVAL).await,
            }
        }
    }

    /// Waits until an object is gone.
    pub async fn until_gone(
        &self,
        kind: Kind,
        (namespace, name): (&str, &str),
        at_most: Duration,
    ) -> Result<()> {
        let started = Instant::now();
        let api = self.api(kind, namespace);
        while api.get_opt(name).await?.is_some() {
            if started.elapsed() > at_most {
                bail!("{} {namespace}/{name} is still there", kind.kind);
            }
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(())
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }
}

/// What the API server says when it forbids something; an error if it does not.
pub fn refusal<T>(answer: kube::Result<T>) -> Result<String> {
    match answer {
        Err(kube::Error::Api(refused)) if refused.code == 403 => Ok(refused.message),
        Err(other) => Err(other.into()),
        Ok(_) => bail!("the API server allows it"),
    }
}

/// Whether a condition is true.
pub fn is(object: &DynamicObject, condition: &str) -> bool {
    let all = object.data["status"]["conditions"].as_array();
    all.into_iter()
        .flatten()
        .any(|seen| seen["type"] == condition && seen["status"] == "True")
}

/// A text somewhere in an object.
pub fn text<'a>(object: &'a DynamicObject, pointer: &str) -> Result<&'a str> {
    let value = object.data.pointer(pointer).and_then(Value::as_str);
    value.with_context(|| {
        format!(
            "there is no {pointer} in {}",
            object.metadata.name.as_deref().unwrap_or("an object")
        )
    })
}

/// All conditions, as `Active=False (Issuing: the first link is being issued)`.
fn conditions(object: &DynamicObject) -> String {
    let part = |condition: &Value, field: &str| condition[field].as_str().unwrap_or("?").to_owned();
    let all = object.data["status"]["conditions"].as_array();
    let all: Vec<String> = all
        .into_iter()
        .flatten()
        .map(|seen| {
            let [kind, status, reason, message] =
                ["type", "status", "reason", "message"].map(|field| part(seen, field));
            format!("{kind}={status} ({reason}: {message})")
        })
        .collect();
    match all.is_empty() {
        true => "has no conditions".to_owned(),
        false => format!("has the conditions {}", all.join(", ")),
    }
}
