//! `kubectl keyloan export`: integrations and flows as code, for who began by hand and goes on in Git.

mod clean;
mod helm;
mod terraform;
mod yaml;

use clap::ValueEnum;
use serde_json::Value;

use crate::api::{AccessFlow, OnePasswordIntegration};

use super::failure::{Exit, Failure};
use super::output::{put, remark};
use super::session::Session;

/// Print an integration or a flow as code, without what the cluster adds. Tokens are never part of it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to print.
    kind: Exported,
    /// Which ones.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// As which code.
    #[arg(long = "as", value_name = "FORM", default_value = "yaml")]
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Exported {
    /// A OnePasswordIntegration.
    Integration,
    /// An AccessFlow.
    Flow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Manifests.
    Yaml,
    /// Values for a Helm chart: a list `integrations` or `flows`.
    Helm,
    /// Resources of the type kubernetes_manifest.
    Terraform,
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let (person, namespace) = (&session.person, session.namespace());
    let mut objects = Vec::new();
    for name in &arguments.names {
        let stored = match arguments.kind {
            Exported::Integration => {
                person
                    .get_as_stored::<OnePasswordIntegration>(namespace, name)
                    .await?
            }
            Exported::Flow => person.get_as_stored::<AccessFlow>(namespace, name).await?,
        };
        objects.push(clean::clean(stored)?);
    }
    put(written(arguments.kind, arguments.form, &objects)?.trim_end());
    for secret in objects.iter().filter_map(token_secret) {
        remark(format_args!(
            "note: the Secret {secret} with the token is not part of this; keep it out of Git"
        ));
    }
    Ok(Exit::Done)
}

fn written(kind: Exported, form: Form, objects: &[Value]) -> Result<String, Failure> {
    match form {
        Form::Yaml => yaml::written(objects),
        Form::Helm => helm::written(kind, objects),
        Form::Terraform => terraform::written(objects),
    }
}

/// The Secret in which an integration's token lies.
fn token_secret(object: &Value) -> Option<&str> {
    object
        .pointer("/spec/auth/serviceAccountToken/secretRef/name")?
        .as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(yaml: &str) -> Value {
        let object = serde_saphyr::from_str(yaml).unwrap();
        clean::clean(object).unwrap()
    }

    fn flow() -> Value {
        let text = r#"
apiVersion: keyloan.dev/v1alpha1
kind: AccessFlow
metadata:
  name: on.call
  namespace: keyloan
  uid: 7e1c
  resourceVersion: "42"
  generation: 3
  creationTimestamp: "2026-11-24T09:00:00Z"
  labels: {team: platform}
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: "{}"
    example.com/ticket: INC-7
  managedFields: [{manager: kubectl}]
  ownerReferences: []
spec:
  integration: prod
  requesters: [{kind: Group, name: engineering}]
  items: {include: [{vault: Infra, titles: ["db *"]}]}
  grant: {maxDuration: 2h}
  approval: {mode: None}
  accessDetails: "psql -h ${HOST} \"db\"\nthen %{ask}"
  suspend: false
status:
  observedGeneration: 3
"#;
        stored(text)
    }

    fn integration() -> Value {
        stored(
            include_str!("../../../examples/integration.yaml")
                .split_once("---\n")
                .unwrap()
                .1,
        )
    }

    #[test]
    fn manifests_leave_out_what_the_cluster_adds() {
        let both = [flow(), integration()];
        insta::assert_snapshot!(written(Exported::Flow, Form::Yaml, &both).unwrap());
    }

    #[test]
    fn manifests_say_the_same_as_what_is_stored() {
        let text = written(Exported::Flow, Form::Yaml, &[flow()]).unwrap();
        let again: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(again, flow());
    }

    #[test]
    fn helm_values_are_lists() {
        insta::assert_snapshot!(written(Exported::Flow, Form::Helm, &[flow()]).unwrap());
        let text = written(Exported::Integration, Form::Helm, &[integration()]).unwrap();
        let values: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(values["integrations"][0]["name"], "prod");
        assert_eq!(values["integrations"][0]["spec"], integration()["spec"]);
    }

    #[test]
    fn terraform_takes_no_text_for_a_template() {
        insta::assert_snapshot!(
            written(Exported::Flow, Form::Terraform, &[flow(), integration()]).unwrap()
        );
    }

    #[test]
    fn terraform_reads_the_same_as_what_is_stored() {
        let text = written(Exported::Flow, Form::Terraform, &[flow()]).unwrap();
        let body: Value = hcl::from_str(&text).unwrap();
        assert_eq!(
            body["resource"]["kubernetes_manifest"]["accessflow_on_call"]["manifest"],
            flow()
        );
    }

    #[test]
    fn who_exports_an_integration_is_told_that_the_token_is_not_in_it() {
        assert_eq!(token_secret(&integration()), Some("op-token"));
        assert_eq!(token_secret(&flow()), None);
    }
}
