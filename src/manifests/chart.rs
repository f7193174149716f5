//! The templates of the chart `keyloan-crds`: the same objects as in `crds/`, with the chart's values where installations differ.
//!
//! All of them are kept when the chart is uninstalled: without its kinds a cluster forgets every record, and without
//! its policies nothing guards what is left.

use std::path::Path;

use serde_json::{Value, json};

use super::error::ManifestError;
use super::files::{File, files, write_file};
use super::policies::{Boundary, EMAIL_VARIABLES, USERNAME_VARIABLES};

/// What stands for a value until the text is written. No CEL expression has such a word in it.
const PLACEHOLDER: &str = "KEYLOAN_CHART_VALUE_";

/// Whether the mutating policies are to be installed; the chart's `_values.tpl` decides.
const IF_MUTATING: &str = "{{- if include \"keyloan-crds.mutating\" . }}\n";

/// The names and texts of the templates that are generated.
pub fn templates() -> Result<Vec<(String, String)>, ManifestError> {
    files(&Boundary::default())?
        .into_iter()
        .map(template)
        .collect()
}

/// Write all templates into the folder of the chart.
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
        // JSON, which is YAML, too: whatever the value is, it stays one text.
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

/// Put a placeholder where a policy holds what belongs to an installation.
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

/// Ended, because one name is the beginning of another.
fn placeholder(name: &str) -> String {
    format!("{PLACEHOLDER}{name}_")
}

/// The variables of the policies that hold what belongs to an installation; the chart's values are called so, too.
fn installation_variables() -> impl Iterator<Item = &'static str> {
    USERNAME_VARIABLES.into_iter().chain(EMAIL_VARIABLES)
}
