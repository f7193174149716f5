//! `kubectl keyloan export`: integrations, flows and notifiers as code, for moving what was made by hand to
//! Git.

mod terraform;

use clap::ValueEnum;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::api::{AccessFlow, AccessNotifier, OnePasswordIntegration};
use crate::cluster::person::{CallError, Refused, Scope};
use crate::desk::export::{
    clean, helm_values, misread_by_terraform, terraform_json, token_secret, without_token,
};

use super::failure::{Exit, Failure};
use super::output::{Structured, document, list, put, remark, yaml};
use super::session::Session;

/// Print integrations, flows and notifiers as code, without the fields that the cluster adds and the labels and
/// annotations that Helm, Argo CD and Flux add. Tokens are never included.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The kind to export. With --all, all kinds by default.
    #[arg(required_unless_present = "all")]
    kind: Option<Exported>,
    /// The names of the objects.
    #[arg(
        required_unless_present = "all",
        conflicts_with_all = ["all", "all_namespaces"],
        value_name = "NAME"
    )]
    names: Vec<String>,
    /// Export all integrations, flows and notifiers of the namespace: everything that belongs in Git.
    #[arg(long)]
    all: bool,
    /// With --all, export those of all namespaces.
    #[arg(long, short = 'A', requires = "all")]
    all_namespaces: bool,
    /// The kind of code to print.
    #[arg(long, value_name = "FORMAT", default_value = "manifest")]
    format: Form,
    /// Print JSON or YAML. Defaults to YAML, and to HCL for Terraform.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Structured>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Exported {
    /// A OnePasswordIntegration.
    Integration,
    /// An AccessFlow.
    Flow,
    /// An AccessNotifier.
    Notifier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Kubernetes manifests.
    #[value(alias = "yaml")]
    Manifest,
    /// Values for the chart keyloan-config.
    Helm,
    /// A Terraform module with resources of type kubernetes_manifest.
    Terraform,
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let stored = match arguments.all {
        true => all(session, arguments).await?,
        false => named(session, arguments).await?,
    };
    let objects = stored.into_iter().map(as_written);
    let objects = objects.collect::<Result<Vec<_>, _>>()?;
    if objects.is_empty() {
        remark("note: there is nothing to export");
    }
    put(written(arguments.format, arguments.output, &objects)?.trim_end())?;
    for secret in objects.iter().filter_map(token_secret) {
        remark(format_args!("note: {}", without_token(secret)));
    }
    Ok(Exit::Done)
}

async fn named(session: &Session, arguments: &Arguments) -> Result<Vec<DynamicObject>, Failure> {
    let (person, namespace) = (&session.person, session.namespace());
    let mut objects = Vec::new();
    for name in &arguments.names {
        let stored = match arguments.kind {
            Some(Exported::Integration) => {
                person
                    .get_as_stored::<OnePasswordIntegration>(namespace, name)
                    .await
            }
            Some(Exported::Notifier) => {
                person
                    .get_as_stored::<AccessNotifier>(namespace, name)
                    .await
            }
            Some(Exported::Flow) | None => {
                person.get_as_stored::<AccessFlow>(namespace, name).await
            }
        };
        objects.push(stored.map_err(unread)?);
    }
    Ok(objects)
}

/// All objects of the kind, or of all kinds, sorted by kind, namespace and name.
async fn all(session: &Session, arguments: &Arguments) -> Result<Vec<DynamicObject>, Failure> {
    let person = &session.person;
    let scope = match arguments.all_namespaces {
        true => Scope::All,
        false => Scope::Namespace(session.namespace().to_owned()),
    };
    let mut objects = Vec::new();
    let wanted = |kind| arguments.kind.is_none_or(|only| only == kind);
    if wanted(Exported::Integration) {
        objects.extend(
            person
                .list_as_stored::<OnePasswordIntegration>(&scope)
                .await?,
        );
    }
    if wanted(Exported::Flow) {
        objects.extend(person.list_as_stored::<AccessFlow>(&scope).await?);
    }
    if wanted(Exported::Notifier) {
        objects.extend(person.list_as_stored::<AccessNotifier>(&scope).await?);
    }
    Ok(objects)
}

/// A missing object: `kubectl keyloan list` does not list these kinds, so this names the
/// command that does.
fn unread(error: CallError) -> Failure {
    let is_missing = error.refused == Refused::NotFound;
    let failure = Failure::from(error);
    match is_missing {
        true => failure.next(
            "Run `kubectl get onepasswordintegrations,accessflows,accessnotifiers -A` to list all, or pass -n to use another namespace.",
        ),
        false => failure,
    }
}

/// The stored object as a person would have written it.
fn as_written(stored: DynamicObject) -> Result<Value, Failure> {
    let stored = serde_json::to_value(stored);
    stored
        .map(clean)
        .map_err(|error| Failure::new(format!("cannot read the object: {error}")))
}

fn written(format: Form, output: Option<Structured>, objects: &[Value]) -> Result<String, Failure> {
    let structured = output.unwrap_or(Structured::Yaml);
    match (format, output) {
        (Form::Manifest, _) => manifests(objects, structured),
        (Form::Helm, _) => document(&helm_values(objects), structured),
        (Form::Terraform, Some(Structured::Yaml)) => Err(Failure::usage(
            "Terraform does not read YAML: omit -o yaml, or pass -o json for a .tf.json file",
        )),
        (Form::Terraform, output) => {
            if let Some(text) = objects.iter().find_map(misread_by_terraform) {
                let failure = Failure::new(format!(
                    "cannot export to Terraform: it would read a part of {text:?} as an escape sequence"
                ));
                return Err(failure.next("Change that text, or export without --format terraform."));
            }
            match output {
                Some(structured) => document(&terraform_json(objects), structured),
                None => terraform::module(objects),
            }
        }
    }
}

/// In YAML one document for each object; in JSON one object or a `List`.
fn manifests(objects: &[Value], structured: Structured) -> Result<String, Failure> {
    match (structured, objects) {
        (Structured::Json, [object]) => document(object, structured),
        (Structured::Json, objects) => document(&list(objects.to_vec()), structured),
        (Structured::Yaml, objects) => {
            let documents = objects.iter().map(yaml).collect::<Result<Vec<_>, _>>()?;
            Ok(documents.join("---\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::visible::steers;

    fn stored(yaml: &str) -> Value {
        as_written(serde_saphyr::from_str(yaml).unwrap()).unwrap()
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

    #[test]
    fn who_exports_what_is_not_there_reads_where_rules_are_listed() {
        let next = unread(CallError {
            verb: "read",
            object: "AccessFlow keyloan/oncall".into(),
            refused: Refused::NotFound,
        })
        .next
        .unwrap();
        assert!(
            next.contains("`kubectl get onepasswordintegrations,accessflows,accessnotifiers -A`"),
            "{next}"
        );
    }

    /// Text that Helm, HCL or YAML could read as something else.
    fn hostile() -> Value {
        let mut flow = flow();
        let templates = "{{ .Values.x }} ${a} %{b} $ % {c} $$ %%\u{202e}";
        flow["spec"]["accessDetails"] = templates.into();
        let ends = "\"\n}\nresource \"x\" \"y\" {\n---\nkind: Secret # \\ EOT \u{1b}[2K\u{202e}\u{9b}2K\u{7f}";
        flow["metadata"]["annotations"]["example.com/ticket"] = ends.into();
        flow
    }

    fn plain(form: Form, objects: &[Value]) -> String {
        written(form, None, objects).unwrap()
    }

    fn integration() -> Value {
        stored(
            include_str!("../../examples/integration.yaml")
                .split_once("---\n")
                .unwrap()
                .1,
        )
    }

    #[test]
    fn manifests_leave_out_what_the_cluster_adds() {
        let both = [flow(), integration()];
        insta::assert_snapshot!(plain(Form::Manifest, &both));
    }

    #[test]
    fn manifests_say_the_same_as_what_is_stored() {
        let text = plain(Form::Manifest, &[flow()]);
        let again: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(again, flow());
    }

    #[test]
    fn helm_values_are_maps_by_name() {
        insta::assert_snapshot!(plain(Form::Helm, &[integration(), flow()]));
    }

    #[test]
    fn where_there_is_nothing_to_export_each_form_is_still_valid() {
        assert_eq!(plain(Form::Manifest, &[]), "");
        assert_eq!(plain(Form::Helm, &[]).trim_end(), "{}");
        assert_eq!(plain(Form::Terraform, &[]), "");
        let module = written(Form::Terraform, Some(Structured::Json), &[]).unwrap();
        assert_eq!(module, "{}");
    }

    #[test]
    fn terraform_takes_no_text_for_a_template() {
        insta::assert_snapshot!(plain(Form::Terraform, &[flow(), integration()]));
    }

    #[test]
    fn terraform_reads_the_same_as_what_is_stored() {
        let text = plain(Form::Terraform, &[flow()]);
        let body: Value = hcl::from_str(&text).unwrap();
        let resource = &body["resource"]["kubernetes_manifest"]["accessflow_on_call"];
        assert_eq!(resource["manifest"], flow());
        let json = written(Form::Terraform, Some(Structured::Json), &[flow()]).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        let same = &json["resource"]["kubernetes_manifest"]["accessflow_on_call"];
        assert_eq!(same["computed_fields"], resource["computed_fields"]);
    }

    #[test]
    fn nothing_that_people_write_is_more_than_a_text() {
        let objects = [hostile()];
        let forms = [
            (Form::Manifest, None),
            (Form::Manifest, Some(Structured::Json)),
            (Form::Helm, None),
            (Form::Terraform, None),
            (Form::Terraform, Some(Structured::Json)),
        ];
        let shown = forms.map(|(form, output)| {
            let text = written(form, output, &objects).unwrap();
            let steering = text.chars().filter(|c| *c != '\n' && steers(*c));
            assert_eq!(steering.count(), 0, "{form:?}: {text}");
            let lines = text
                .lines()
                .filter(|l| l.contains("accessDetails") || l.contains("ticket"));
            let lines: Vec<_> = lines.map(str::trim).collect();
            format!("{form:?} {output:?}\n{}", lines.join("\n"))
        });
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    #[test]
    fn whatever_people_write_each_form_says_the_same_as_what_is_stored() {
        let objects = [hostile()];
        let read = |form, output| -> Value {
            let text = written(form, output, &objects).unwrap();
            match (form, output) {
                (_, Some(Structured::Json)) => serde_json::from_str(&text).unwrap(),
                (Form::Terraform, _) => hcl::from_str(&text).unwrap(),
                _ => serde_saphyr::from_str(&text).unwrap(),
            }
        };
        let (yaml, json) = (None, Some(Structured::Json));
        assert_eq!(read(Form::Manifest, yaml), hostile());
        assert_eq!(read(Form::Manifest, json), hostile());
        for output in [yaml, json] {
            let flow = &read(Form::Helm, output)["flows"]["on.call"];
            assert_eq!(flow["spec"], hostile()["spec"]);
            assert_eq!(flow["annotations"], hostile()["metadata"]["annotations"]);
        }
        let pointer = "/resource/kubernetes_manifest/accessflow_on_call/manifest";
        let module = read(Form::Terraform, None);
        assert_eq!(module.pointer(pointer), Some(&hostile()));
        // In JSON, Terraform reads each text as a template.
        let mut template = hostile();
        let details = template["spec"]["accessDetails"].as_str().unwrap();
        let details = details.replace("${", "$${").replace("%{", "%%{");
        template["spec"]["accessDetails"] = details.into();
        assert_eq!(
            read(Form::Terraform, json).pointer(pointer),
            Some(&template)
        );
    }

    #[test]
    fn json_says_the_same_as_yaml_and_several_manifests_are_a_list() {
        let json = |form, objects: &[Value]| -> Value {
            let text = written(form, Some(Structured::Json), objects);
            serde_json::from_str(&text.unwrap()).unwrap()
        };
        assert_eq!(json(Form::Manifest, &[flow()]), flow());
        let both = json(Form::Manifest, &[flow(), integration()]);
        assert_eq!(both["kind"], "List");
        assert_eq!(both["items"][1], integration());
        assert_eq!(
            json(Form::Helm, &[flow()])["flows"]["on.call"]["spec"],
            flow()["spec"]
        );
        let resources = &json(Form::Terraform, &[flow()])["resource"]["kubernetes_manifest"];
        assert_eq!(
            resources["accessflow_on_call"]["manifest"]["kind"],
            "AccessFlow"
        );
    }

    #[test]
    fn what_terraform_could_misread_is_refused() {
        for text in ["$${HOST}", "$$${HOST}", "%%{ask}"] {
            let mut flow = flow();
            flow["spec"]["accessDetails"] = text.into();
            for output in [None, Some(Structured::Json)] {
                let refused = written(Form::Terraform, output, &[flow.clone()]);
                let failure = refused.unwrap_err();
                assert!(failure.message.contains(text), "{failure:?}");
            }
        }
    }

    #[test]
    fn who_wants_terraform_as_yaml_is_told_what_there_is() {
        let refused = written(Form::Terraform, Some(Structured::Yaml), &[flow()]);
        let failure = refused.unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("pass -o json"), "{failure:?}");
    }

    #[test]
    fn who_exports_an_integration_is_told_that_the_token_is_not_in_it() {
        assert_eq!(token_secret(&integration()), Some("op-token"));
        assert_eq!(token_secret(&flow()), None);
    }
}
