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
use kube::core::{GroupVersionKind, ObjectMeta};
use kube::discovery::pinned_kind;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::binaries::admission_version;
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
    if has_mutating_policies(client).await? {
        // The name differs from the one before, whose policy still refuses for a moment: the two
        // must not be confused.
        let name = format!("{name}-mutating");
        wait_for_refusal(client, "MutatingAdmissionPolicy", &name, failure()).await?;
    }
    Ok(())
}

/// Whether the API server serves mutating policies: before 1.36 only if they are switched on.
pub(crate) async fn has_mutating_policies(client: &Client) -> kube::Result<bool> {
    match resource(client, "MutatingAdmissionPolicy").await {
        Ok(_) => Ok(true),
        Err(kube::Error::Discovery(_)) => Ok(false),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
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
            let object = json!({
                "apiVersion": format!("{GROUP}/{}", admission_version(kind)), "kind": kind,
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
    let kind = GroupVersionKind::gvk(GROUP, admission_version(kind), kind);
    let (resource, _) = pinned_kind(client, &kind).await?;
    Ok(Api::all_with(client.clone(), &resource))
}
