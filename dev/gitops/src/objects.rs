//! Objects of any kind, as JSON, by the administrator of the cluster.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use keyloan_cluster::{apply_yaml, wait_until};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};

/// A kind: group, version, kind, plural.
#[derive(Clone, Copy, Debug)]
pub struct Kind(
    pub &'static str,
    pub &'static str,
    pub &'static str,
    pub &'static str,
);

/// The kinds that the run looks at.
pub mod kinds {
    use super::Kind;

    pub const DEPLOYMENT: Kind = Kind("apps", "v1", "Deployment", "deployments");
    pub const DISRUPTION_BUDGET: Kind = Kind(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
    );
    pub const CRD: Kind = Kind(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    );
    pub const POLICY: Kind = Kind(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
    );
    pub const BINDING: Kind = Kind(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
    );
    pub const MUTATING: Kind = Kind(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
    );
    pub const INTEGRATION: Kind = Kind(
        "keyloan.dev",
        "v1alpha1",
        "OnePasswordIntegration",
        "onepasswordintegrations",
    );
    pub const GRANT: Kind = Kind("keyloan.dev", "v1alpha1", "AccessGrant", "accessgrants");
    pub const DECISION: Kind = Kind(
        "keyloan.dev",
        "v1alpha1",
        "AccessDecision",
        "accessdecisions",
    );
    pub const RECORD: Kind = Kind("keyloan.dev", "v1alpha1", "AccessRecord", "accessrecords");
    pub const APPLICATION: Kind = Kind("argoproj.io", "v1alpha1", "Application", "applications");
    pub const KUSTOMIZATION: Kind = Kind(
        "kustomize.toolkit.fluxcd.io",
        "v1",
        "Kustomization",
        "kustomizations",
    );
    pub const GIT_REPOSITORY: Kind = Kind(
        "source.toolkit.fluxcd.io",
        "v1",
        "GitRepository",
        "gitrepositories",
    );
    pub const HELM_RELEASE: Kind = Kind(
        "helm.toolkit.fluxcd.io",
        "v2",
        "HelmRelease",
        "helmreleases",
    );
}

/// Somebody's view of a cluster.
#[derive(Clone)]
pub struct Objects {
    client: Client,
}

impl Objects {
    /// With this client's rights.
    pub fn of(client: Client) -> Self {
        Self { client }
    }

    /// Applies YAML, by server-side apply.
    pub async fn apply(&self, text: &str) -> Result<()> {
        apply_yaml(&self.client, text).await?;
        Ok(())
    }

    /// An object, if it exists. The namespace of an object without one is empty.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>> {
        let found = self.api(kind, namespace).get_opt(name).await;
        let found = found.with_context(|| format!("cannot read {} {name}", kind.2))?;
        Ok(found.map(serde_json::to_value).transpose()?)
    }

    /// All objects of a kind in a namespace, or in all of them.
    pub async fn list(&self, kind: Kind, namespace: &str) -> Result<Vec<Value>> {
        let found = self.api(kind, namespace).list(&ListParams::default()).await;
        let found = found.with_context(|| format!("cannot list {}", kind.3))?;
        let values = found.items.into_iter().map(serde_json::to_value);
        Ok(values.collect::<Result<_, _>>()?)
    }

    /// Creates an object.
    pub async fn create(&self, kind: Kind, namespace: &str, object: Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let api = self.api(kind, namespace);
        let made = api.create(&PostParams::default(), &object).await;
        made.with_context(|| format!("cannot create a {}", kind.2))?;
        Ok(())
    }

    /// Changes some members.
    pub async fn patch(&self, kind: Kind, namespace: &str, name: &str, to: Value) -> Result<()> {
        let api = self.api(kind, namespace);
        let to = Patch::Merge(to);
        let patched = api.patch(name, &PatchParams::default(), &to).await;
        patched.with_context(|| format!("cannot change {} {name}", kind.2))?;
        Ok(())
    }

    /// Sets an annotation.
    pub async fn annotate(
        &self,
        kind: Kind,
        (namespace, name): (&str, &str),
        annotation: &str,
        value: &str,
    ) -> Result<()> {
        let change = json!({ "metadata": { "annotations": { annotation: value } } });
        self.patch(kind, namespace, name, change).await
    }

    /// Changes some members of a status.
    pub async fn patch_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        status: Value,
    ) -> Result<()> {
        let to = Patch::Merge(json!({ "status": status }));
        let api = self.api(kind, namespace);
        let patched = api.patch_status(name, &PatchParams::default(), &to).await;
        patched.with_context(|| format!("cannot change the status of {} {name}", kind.2))?;
        Ok(())
    }

    /// Deletes an object and waits until it is gone.
    pub async fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        within: Duration,
    ) -> Result<()> {
        self.remove(kind, namespace, name).await?;
        let api = self.api(kind, namespace);
        let gone = async || api.get_opt(name).await.ok()?.is_none().then_some(());
        let what = format!("{} {name} is gone", kind.2);
        Ok(wait_until(what, within, gone).await?)
    }

    /// Deletes an object, which somebody may make again at once.
    pub async fn remove(&self, kind: Kind, namespace: &str, name: &str) -> Result<()> {
        let api = self.api(kind, namespace);
        let deleted = api.delete(name, &DeleteParams::default()).await;
        deleted.with_context(|| format!("cannot delete {} {name}", kind.2))?;
        Ok(())
    }

    /// Waits until an object is as it should be; returns it. The error shows its status.
    pub async fn until(
        &self,
        kind: Kind,
        (namespace, name): (&str, &str),
        within: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let look = async || {
            // What cannot be read now may be readable later.
            last = self.get(kind, namespace, name).await.ok()??;
            is(&last).then(|| last.clone())
        };
        match wait_until("it is as it should be", within, look).await {
            Ok(found) => Ok(found),
            Err(_) => bail!(
                "{} {name} is not as it should be after {within:?}: {}",
                kind.2,
                shortened(&last["status"])
            ),
        }
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let Kind(group, version, name, plural) = kind;
        let api_version = match group {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        };
        let resource = ApiResource {
            group: group.into(),
            version: version.into(),
            api_version,
            kind: name.into(),
            plural: plural.into(),
        };
        match namespace {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }
}

/// The status without what is long and says little.
fn shortened(status: &Value) -> String {
    let mut status = status.clone();
    if let Some(members) = status.as_object_mut() {
        for long in ["resources", "inventory", "history", "summary", "sync"] {
            members.remove(long);
        }
    }
    status.to_string().chars().take(1500).collect()
}

/// The condition of this type.
pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array();
    conditions?.iter().find(|c| c["type"] == type_)
}

/// Whether a condition is true, for the present generation.
pub fn holds(object: &Value, type_: &str) -> bool {
    let of_now = &object["metadata"]["generation"];
    condition(object, type_).is_some_and(|c| {
        c["status"] == "True"
            && (c["observedGeneration"].is_null() || c["observedGeneration"] == *of_now)
    })
}
