//! Waits until admission policies are in force, a moment after they were stored.
//!
//! The API server learns of policies and of bindings in the order in which they were written, and
//! then replaces its whole set. So this module writes a policy of its own last. When that policy
//! acts, all policies that were written before it act, too. It applies only to a dry run for a
//! ConfigMap that never exists.

use std::io;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use kube::core::{GroupVersionKind, ObjectMeta, TypeMeta};
use kube::discovery::pinned_kind;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::random;
use crate::wait::{TimedOut, wait_until};

/// How long policies may take to act; they take some 100 ms when the machine is idle.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(60);

const GROUP: &str = "admissionregistration.k8s.io";

/// Why it is unknown whether the policies are in force.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The policy that shows it could not be created.
    #[error("cannot create an admission policy to find out when the others are in force: {0}")]
    Probe(#[from] kube::Error),
    /// No name for that policy could be generated.
    #[error("cannot generate a name for an admission policy: {0}")]
    Name(#[from] io::Error),
    /// That policy does not act.
    #[error(transparent)]
    NotInForce(#[from] TimedOut),
}

/// Returns when all admission policies that were stored before are in force.
pub(crate) async fn wait_until_in_force(client: &Client) -> Result<(), PolicyError> {
    let name = format!("keyloan-probe-{}", random::digits()?);
    wait_for_refusal(client, "ValidatingAdmissionPolicy", &name, refusal(&name)).await?;
    // Kubernetes before 1.36 has no mutating policies, unless they are switched on.
    if resource(client, "MutatingAdmissionPolicy").await.is_ok() {
        // The name differs from the one before, whose policy still refuses for a moment: the two
        // must not be confused.
        let name = format!("{name}-mutating");
        wait_for_refusal(client, "MutatingAdmissionPolicy", &name, failure()).await?;
    }
    Ok(())
}

/// Writes a policy that rejects everything, and removes it as soon as it acts.
async fn wait_for_refusal(
    client: &Client,
    kind: &str,
    name: &str,
    spec: Value,
) -> Result<(), PolicyError> {
    let probe = Probe::write(client, kind, name, spec).await?;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    let config_map = ConfigMap {
        metadata,
        ..ConfigMap::default()
    };
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let what = format!("each {kind} is in force");
    let in_force = wait_until(what, IN_FORCE_WITHIN, async || {
        match config_maps.create(&dry_run, &config_map).await {
            Err(kube::Error::Api(status)) if status.message.contains(&refused_by(name)) => Some(()),
            _ => None,
        }
    })
    .await;
    probe.remove().await?;
    Ok(in_force?)
}

/// The part of the API server's message that names the policy that refused.
fn refused_by(policy: &str) -> String {
    format!("olicy '{policy}' with binding '{policy}'")
}

/// A policy and its binding.
struct Probe {
    policies: Api<DynamicObject>,
    bindings: Api<DynamicObject>,
    name: String,
}

impl Probe {
    /// Writes a policy that applies to only one ConfigMap.
    async fn write(
        client: &Client,
        kind: &str,
        name: &str,
        mut spec: Value,
    ) -> kube::Result<Probe> {
        let binding_kind = format!("{kind}Binding");
        let probe = Probe {
            policies: resource(client, kind).await?,
            bindings: resource(client, &binding_kind).await?,
            name: name.to_owned(),
        };
        spec["failurePolicy"] = json!("Fail");
        spec["matchConstraints"] = json!({"resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
            "operations": ["CREATE"], "resourceNames": [name],
        }]});
        let mut binding = json!({"policyName": name});
        if kind == "ValidatingAdmissionPolicy" {
            binding["validationActions"] = json!(["Deny"]);
        }
        for (api, kind, spec) in [
            (&probe.policies, kind, spec),
            (&probe.bindings, &binding_kind, binding),
        ] {
            let types = TypeMeta {
                api_version: format!("{GROUP}/v1"),
                kind: kind.to_owned(),
            };
            let object = json!({
                "apiVersion": served(client, &types).await, "kind": kind,
                "metadata": {"name": name}, "spec": spec,
            });
            let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
            api.create(&PostParams::default(), &object).await?;
        }
        Ok(probe)
    }

    async fn remove(self) -> kube::Result<()> {
        self.bindings
            .delete(&self.name, &DeleteParams::default())
            .await?;
        self.policies
            .delete(&self.name, &DeleteParams::default())
            .await?;
        Ok(())
    }
}

fn refusal(message: &str) -> Value {
    json!({"validations": [{"expression": "false", "message": message}]})
}

/// A patch that cannot be applied. Its refusal is more reliable evidence than a stamp, which
/// another policy's patch might overwrite.
fn failure() -> Value {
    // A failing `test` operation would not work: the API server only leaves out such a patch.
    let expression = r#"[JSONPatch{op: "remove", path: "/metadata/nothing"}]"#;
    json!({
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    })
}

async fn resource(client: &Client, kind: &str) -> kube::Result<Api<DynamicObject>> {
    let types = TypeMeta {
        api_version: format!("{GROUP}/v1"),
        kind: kind.to_owned(),
    };
    let version = served(client, &types).await;
    let kind = GroupVersionKind::try_from(&TypeMeta {
        api_version: version,
        ..types
    });
    let kind = kind.map_err(|error| kube::Error::Service(error.into()))?;
    let (resource, _) = pinned_kind(client, &kind).await?;
    Ok(Api::all_with(client.clone(), &resource))
}

/// The version in which a kind is served. Before Kubernetes 1.36, mutating policies are served only
/// in an earlier version than `v1`, whose fields are the same, and only if that is switched on.
pub(crate) async fn served(client: &Client, types: &TypeMeta) -> String {
    let early = format!("{GROUP}/v1alpha1");
    let is_mutating = types.kind.starts_with("MutatingAdmissionPolicy");
    if !is_mutating {
        return types.api_version.clone();
    }
    let as_written = GroupVersionKind::try_from(types);
    let found = match as_written {
        Ok(kind) => pinned_kind(client, &kind).await.is_ok(),
        Err(_) => true,
    };
    let early_kind = GroupVersionKind::gvk(GROUP, "v1alpha1", &types.kind);
    match !found && pinned_kind(client, &early_kind).await.is_ok() {
        true => early,
        false => types.api_version.clone(),
    }
}
