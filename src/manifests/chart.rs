//! The templates of the chart `keyloan-crds`: the objects of `crds/`, with the chart's values where
//! installations differ.
//!
//! Helm keeps all of them when the chart is uninstalled: without its kinds, a cluster loses every
//! record, and without its policies, nothing guards the remaining objects.

use std::path::Path;

use serde_json::{Value, json};

use super::error::ManifestError;
use super::files::{File, files, write_file};
use super::policies::{Boundary, EMAIL_VARIABLES, USERNAME_VARIABLES};

/// Marks a chart value until the text is written. No CEL expression contains this word.
const PLACEHOLDER: &str = "KEYLOAN_CHART_VALUE_";

/// Renders the mutating policies only if the chart's `_values.tpl` says so.
const IF_MUTATING: &str = "{{- if include \"keyloan-crds.mutating\" . }}\n";

/// The names and texts of the generated templates.
pub fn templates() -> Result<Vec<(String, String)>, ManifestError> {
    files(&Boundary::default())?
        .into_iter()
        .map(template)
        .collect()
}

/// Writes all templates into the folder of the chart.
pub fn write_templates(chart: &Path) -> Result<(), ManifestError> {
    for (name, text) in templates()? {
        write_file(&chart.join("templates"), &name, &text)?;
    }
    Ok(())
}

fn template(mut file: File) -> Result<(String, String), ManifestError> {
    let mut mutating = false;
    for object in &mut file.objects {
        object["metadata"]["annotations"]["helm.sh/resource-policy"] = json!("keep");
        mutating |= object["kind"] == "MutatingAdmissionPolicy";
        mark_values(object);
    }
    let mut text = file.to_yaml()?.replace("{{", "{{ \"{{\" }}");
    for name in installation_variables() {
        // JSON is valid YAML: any value stays one string.
        let value = format!("{{{{ include \"keyloan-crds.{name}\" . | toJson }}}}");
        text = text.replace(&placeholder(name), &value);
    }
    if text.contains(PLACEHOLDER) {
        return Err(ManifestError::Build {
            what: format!("the chart template {}", file.name),
            why: "no chart value replaces one of its placeholders".into(),
        });
    }
    if mutating {
        text = format!("{IF_MUTATING}{text}{{{{- end }}}}\n");
    }
    Ok((file.name, text))
}

/// Puts a placeholder in each expression that belongs to an installation.
fn mark_values(object: &mut Value) {
    let variables = object
        .pointer_mut("/spec/variables")
        .and_then(Value::as_array_mut);
    for variable in variables.into_iter().flatten() {
        let name = variable["name"].as_str().unwrap_or_default();
        if installation_variables().any(|variable| variable == name) {
            variable["expression"] = json!(placeholder(name));
        }
    }
}

/// The final underscore tells a name from a longer one with the same beginning.
fn placeholder(name: &str) -> String {
    format!("{PLACEHOLDER}{name}_")
}

/// The policies' variables that belong to an installation; the chart's values have the same names.
fn installation_variables() -> impl Iterator<Item = &'static str> {
    USERNAME_VARIABLES.into_iter().chain(EMAIL_VARIABLES)
}
