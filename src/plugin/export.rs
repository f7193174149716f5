//! `kubectl keyloan export`: integrations and flows as code, for moving what was made by hand to
//! Git.

use clap::ValueEnum;
use hcl::expr::{Object, ObjectKey};
use hcl::format::{Format as _, Formatter};
use hcl::{Block, Body, Expression, Number};
use kube::core::DynamicObject;
use serde_json::Value;

use crate::api::{AccessFlow, OnePasswordIntegration};
use crate::cluster::person::{CallError, Refused};
use crate::desk::export::{
    clean, helm_values, misread_by_terraform, terraform_json, terraform_label, token_secret,
    without_token,
};

use super::failure::{Exit, Failure};
use super::output::{Structured, document, list, put, remark, yaml};
use super::session::Session;

/// Print integrations or flows as code, without the fields that the cluster adds. Tokens are never
/// included.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The kind to export.
    kind: Exported,
    /// The names of the objects.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Kubernetes manifests.
    #[value(alias = "yaml")]
    Manifest,
    /// Values for a Helm chart: a list named `integrations` or `flows`.
    Helm,
    /// Terraform resources of type kubernetes_manifest.
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
                    .await
            }
            Exported::Flow => person.get_as_stored::<AccessFlow>(namespace, name).await,
        };
        objects.push(as_written(stored.map_err(unread)?)?);
    }
    let (form, output) = (arguments.format, arguments.output);
    put(written(arguments.kind, form, output, &objects)?.trim_end())?;
    for secret in objects.iter().filter_map(token_secret) {
        remark(format_args!("note: {}", without_token(secret)));
    }
    Ok(Exit::Done)
}

/// A missing object: `kubectl keyloan list` does not list integrations and flows, so this names the
/// command that does.
fn unread(error: CallError) -> Failure {
    let is_missing = error.refused == Refused::NotFound;
    let failure = Failure::from(error);
    match is_missing {
        true => failure.next(
            "Run `kubectl get onepasswordintegrations,accessflows -A` to list all, or pass -n to use another namespace.",
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

fn written(
    kind: Exported,
    format: Form,
    output: Option<Structured>,
    objects: &[Value],
) -> Result<String, Failure> {
    let structured = output.unwrap_or(Structured::Yaml);
    match (format, output) {
        (Form::Manifest, _) => manifests(objects, structured),
        (Form::Helm, _) => {
            let list = match kind {
                Exported::Integration => "integrations",
                Exported::Flow => "flows",
            };
            document(&helm_values(list, objects), structured)
        }
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
                None => terraform(objects),
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

/// Resources in HCL, Terraform's own language.
fn terraform(objects: &[Value]) -> Result<String, Failure> {
    let blocks = objects.iter().map(|object| {
        Block::builder("resource")
            .add_label("kubernetes_manifest")
            .add_label(terraform_label(object))
            .add_attribute(("manifest", expression(object)))
            .build()
    });
    let body = Body::builder().add_blocks(blocks).build();
    let mut formatter = Formatter::builder().prefer_ident_keys(true).build_vec();
    let unwritable = |error: String| Failure::new(format!("cannot export to Terraform: {error}"));
    body.format(&mut formatter)
        .map_err(|error| unwritable(error.to_string()))?;
    String::from_utf8(formatter.into_inner()).map_err(|error| unwritable(error.to_string()))
}

/// Text becomes a string, never a template: the formatter escapes what looks like one.
fn expression(value: &Value) -> Expression {
    match value {
        Value::Null => Expression::Null,
        Value::Bool(truth) => Expression::Bool(*truth),
        Value::Number(number) => number_expression(number),
        Value::String(text) => Expression::String(text.clone()),
        Value::Array(items) => Expression::Array(items.iter().map(expression).collect()),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, member)| (key_expression(key), expression(member)));
            Expression::Object(members.collect::<Object<_, _>>())
        }
    }
}

fn key_expression(key: &str) -> ObjectKey {
    ObjectKey::Expression(Expression::String(key.to_owned()))
}

fn number_expression(number: &serde_json::Number) -> Expression {
    let number = number
        .as_i64()
        .map(Number::from)
        .or_else(|| number.as_u64().map(Number::from))
        .or_else(|| number.as_f64().and_then(Number::from_f64));
    number.map_or(Expression::Null, Expression::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            next.contains("`kubectl get onepasswordintegrations,accessflows -A`"),
            "{next}"
        );
    }

    /// Text that Helm, HCL or YAML could read as something else.
    fn hostile() -> Value {
        let mut flow = flow();
        let templates = "{{ .Values.x }} ${a} %{b} $ % {c} $$ %%";
        flow["spec"]["accessDetails"] = templates.into();
        let ends = "\"\n}\nresource \"x\" \"y\" {\n---\nkind: Secret # \\ EOT \u{1b}[2K\u{202e}";
        flow["metadata"]["annotations"]["example.com/ticket"] = ends.into();
        flow
    }

    fn plain(kind: Exported, form: Form, objects: &[Value]) -> String {
        written(kind, form, None, objects).unwrap()
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
        insta::assert_snapshot!(plain(Exported::Flow, Form::Manifest, &both));
    }

    #[test]
    fn manifests_say_the_same_as_what_is_stored() {
        let text = plain(Exported::Flow, Form::Manifest, &[flow()]);
        let again: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(again, flow());
    }

    #[test]
    fn helm_values_are_lists() {
        insta::assert_snapshot!(plain(Exported::Flow, Form::Helm, &[flow()]));
        let text = plain(Exported::Integration, Form::Helm, &[integration()]);
        let values: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(values["integrations"][0]["name"], "prod");
        assert_eq!(values["integrations"][0]["spec"], integration()["spec"]);
    }

    #[test]
    fn terraform_takes_no_text_for_a_template() {
        insta::assert_snapshot!(plain(
            Exported::Flow,
            Form::Terraform,
            &[flow(), integration()]
        ));
    }

    #[test]
    fn terraform_reads_the_same_as_what_is_stored() {
        let text = plain(Exported::Flow, Form::Terraform, &[flow()]);
        let body: Value = hcl::from_str(&text).unwrap();
        assert_eq!(
            body["resource"]["kubernetes_manifest"]["accessflow_on_call"]["manifest"],
            flow()
        );
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
            let text = written(Exported::Flow, form, output, &objects).unwrap();
            let steering = text.chars().filter(|c| *c != '\n' && c.is_control());
            assert_eq!(steering.count(), 0, "{form:?}: {text}");
            let lines = text
                .lines()
                .filter(|l| l.contains("accessDetails") || l.contains("ticket"));
            let lines: Vec<_> = lines.map(str::trim).collect();
            format!("{form:?} {output:?}\n{}", lines.join("\n"))
        });
        insta::assert_snapshot!(shown.join("\n\n"));
        let text = plain(Exported::Flow, Form::Manifest, &objects);
        let again: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(again, hostile());
        let text = plain(Exported::Flow, Form::Terraform, &objects);
        let body: Value = hcl::from_str(&text).unwrap();
        let manifest = &body["resource"]["kubernetes_manifest"]["accessflow_on_call"]["manifest"];
        assert_eq!(*manifest, hostile());
    }

    #[test]
    fn json_says_the_same_as_yaml_and_several_manifests_are_a_list() {
        let json = |form, objects: &[Value]| -> Value {
            let text = written(Exported::Flow, form, Some(Structured::Json), objects);
            serde_json::from_str(&text.unwrap()).unwrap()
        };
        assert_eq!(json(Form::Manifest, &[flow()]), flow());
        let both = json(Form::Manifest, &[flow(), integration()]);
        assert_eq!(both["kind"], "List");
        assert_eq!(both["items"][1], integration());
        assert_eq!(
            json(Form::Helm, &[flow()])["flows"][0]["spec"],
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
                let refused = written(Exported::Flow, Form::Terraform, output, &[flow.clone()]);
                let failure = refused.unwrap_err();
                assert!(failure.message.contains(text), "{failure:?}");
            }
        }
    }

    #[test]
    fn who_wants_terraform_as_yaml_is_told_what_there_is() {
        let refused = written(
            Exported::Flow,
            Form::Terraform,
            Some(Structured::Yaml),
            &[flow()],
        );
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
