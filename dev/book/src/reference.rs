//! The reference of the kinds, `docs/reference.md`, from the CRDs in `crds/`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// The path of the page in the repository.
pub const REFERENCE: &str = "docs/reference.md";

const HEAD: &str = "\
# API reference

<!-- Written by `cargo xtask reference` from crds/. Change src/api/, not this page. -->

All kinds belong to the group `keyloan.dev`, version `v1alpha1`, and are namespaced. In your
terminal, `kubectl explain accessgrant.spec` shows the same descriptions. A field with the default
*required* must be set where the object around it is set; a field without a default may be left out.
`[]` in a path stands for each entry of a list. The API server refuses objects that break a bound or
a rule, and says which. Only the operator writes `status`.

[reasons.md](reasons.md) explains the reasons of all conditions.
";

/// The types of Kubernetes itself, which its own reference describes.
const NOT_OURS: [&str; 2] = ["status.conditions", "spec.namespaces.selector"];

/// The longest line of the page, except in tables.
const WIDTH: usize = 100;

/// One field.
struct Row {
    path: String,
    kind: String,
    default: String,
    bounds: Vec<String>,
    meaning: String,
}

/// A rule over several fields.
struct Rule {
    path: String,
    message: String,
}

/// The page.
pub fn reference(repository: &Path) -> Result<String> {
    let mut page = HEAD.to_owned();
    for crd in crds(&repository.join("crds"))? {
        let name = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
        page += &section(&crd).with_context(|| format!("cannot describe {name}"))?;
    }
    Ok(page)
}

/// The CRDs of a folder, by the names of their kinds.
fn crds(folder: &Path) -> Result<Vec<Value>> {
    let mut crds = Vec::new();
    let entries = std::fs::read_dir(folder);
    for entry in entries.with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        if text.contains("\nkind: CustomResourceDefinition\n") {
            let crd: Value = serde_saphyr::from_str(&text)
                .with_context(|| format!("cannot parse {}", path.display()))?;
            crds.push(crd);
        }
    }
    crds.sort_by_key(|crd| crd["spec"]["names"]["kind"].to_string());
    Ok(crds)
}

/// Everything about one kind.
fn section(crd: &Value) -> Result<String> {
    let names = &crd["spec"]["names"];
    let version = &crd["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let kind = names["kind"].as_str().context("it has no kind")?;
    let mut text = format!("\n## {kind}\n\n{}\n", wrapped(&sentence(schema)));
    text += &format!("\n{}\n", wrapped(&on_the_command_line(names, version)));

    let (mut rows, mut rules) = (Vec::new(), Vec::new());
    rules.extend(own_rules("", schema));
    for part in ["spec", "status"] {
        let schema = &schema["properties"][part];
        if schema.is_object() {
            rules.extend(own_rules(part, schema));
            fields(part, schema, &mut rows, &mut rules);
        }
    }
    let conditions = rows.iter().find(|row| row.path == "status.conditions");
    let conditions = conditions.map_or("This kind has no conditions.", |row| &row.meaning);
    text += &format!("\n{}\n", wrapped(&format!("**Conditions.** {conditions}")));
    text += "\n| Field | Type | Default | Bounds | Meaning |\n|---|---|---|---|---|\n";
    for row in rows {
        let Row {
            path,
            kind,
            default,
            bounds,
            meaning,
        } = row;
        let bounds = bounds.join("; ");
        text += &format!("| `{path}` | {kind} | {default} | {bounds} | {meaning} |\n");
    }
    if !rules.is_empty() {
        text += "\nThe rules of objects:\n\n";
    }
    for Rule { path, message } in rules {
        let path = match path.as_str() {
            "" => "the object".to_owned(),
            path => format!("`{path}`"),
        };
        text += &format!("{}\n", hanging(&format!("* {path}: {message}.")));
    }
    Ok(text)
}

/// How kubectl names, lists and selects objects of a kind.
fn on_the_command_line(names: &Value, version: &Value) -> String {
    let mut text = format!(
        "`kubectl get {}`",
        names["plural"].as_str().unwrap_or_default()
    );
    let short = list(&names["shortNames"]);
    if !short.is_empty() {
        let short: Vec<_> = short.iter().map(code).collect();
        text += &format!(" (short: {})", short.join(", "));
    }
    let columns = list(&version["additionalPrinterColumns"]);
    let (always, wide): (Vec<_>, Vec<_>) = columns
        .iter()
        .partition(|column| column["priority"].as_i64().unwrap_or(0) == 0);
    let named = |columns: Vec<&Value>| {
        let named = columns.iter().map(|c| c["name"].as_str().unwrap_or("?"));
        named.collect::<Vec<_>>().join(", ")
    };
    text += &format!(" prints the columns {}", named(always));
    if !wide.is_empty() {
        text += &format!("; with `-o wide` also {}", named(wide));
    }
    text.push('.');
    let fields = list(&version["selectableFields"]);
    let fields = fields.iter().filter_map(|f| f["jsonPath"].as_str());
    let fields: Vec<_> = fields.map(|f| format!("`{}`", &f[1..])).collect();
    if !fields.is_empty() {
        text += &format!(" `--field-selector` can select by {}.", fields.join(", "));
    }
    text
}

/// The fields of an object and everything below it, each object before its fields.
fn fields(path: &str, schema: &Value, rows: &mut Vec<Row>, rules: &mut Vec<Rule>) {
    let required = list(&schema["required"]);
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let mut names: Vec<_> = properties.keys().collect();
    names.sort();
    for name in names {
        let field = &properties[name];
        let (path, is_required) = (
            format!("{path}.{name}"),
            required.contains(&name.as_str().into()),
        );
        let is_ours = !NOT_OURS.contains(&path.as_str());
        rows.push(row(&path, field, is_required, is_ours));
        if !is_ours {
            continue;
        }
        if is_object(field) {
            rules.extend(own_rules(&path, field));
            fields(&path, field, rows, rules);
        } else if is_object(&field["items"]) {
            let path = format!("{path}[]");
            rules.extend(own_rules(&path, &field["items"]));
            fields(&path, &field["items"], rows, rules);
        }
    }
}

fn row(path: &str, field: &Value, is_required: bool, is_ours: bool) -> Row {
    let default = match (is_required, field.get("default")) {
        (true, _) => "*required*".to_owned(),
        (false, Some(value)) => code(value),
        (false, None) => String::new(),
    };
    let mut all = bounds(field);
    let items = &field["items"];
    if is_ours && items.is_object() && !is_object(items) {
        all.extend(
            bounds(items)
                .into_iter()
                .map(|bound| format!("each: {bound}")),
        );
    }
    if is_ours && !is_object(field) {
        all.extend(messages(field));
        if !is_object(items) {
            all.extend(messages(items).map(|message| format!("each: {message}")));
        }
    }
    Row {
        path: path.to_owned(),
        kind: type_of(field),
        default,
        bounds: all.iter().map(|bound| cell(bound)).collect(),
        meaning: cell(&sentence(field)),
    }
}

fn type_of(field: &Value) -> String {
    match field["type"].as_str() {
        Some("array") => format!("list of {}", plural(&type_of(&field["items"]))),
        Some("object") if field["additionalProperties"].is_object() => {
            format!(
                "map to {}",
                plural(&type_of(&field["additionalProperties"]))
            )
        }
        Some("string") if field["format"] == "date-time" => "time".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

fn plural(kind: &str) -> String {
    format!("{kind}s")
}

/// The bounds that the schema itself has.
fn bounds(field: &Value) -> Vec<String> {
    let mut all = Vec::new();
    let values = list(&field["enum"]);
    if !values.is_empty() {
        let values: Vec<_> = values.iter().map(code).collect();
        all.push(format!("one of {}", values.join(", ")));
    }
    for (least, most, unit) in [
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
        ("minimum", "maximum", ""),
    ] {
        let bound = |key: &str| field[key].as_u64().filter(|n| *n < u64::from(u32::MAX));
        all.extend(match (bound(least), bound(most)) {
            (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
            (Some(least), None) => Some(format!("at least {least}{unit}")),
            (None, Some(most)) => Some(format!("at most {most}{unit}")),
            (None, None) => None,
        });
    }
    match field["x-kubernetes-list-type"].as_str() {
        Some("set") => all.push("no entry twice".to_owned()),
        Some("map") => {
            let keys: Vec<_> = list(&field["x-kubernetes-list-map-keys"])
                .iter()
                .map(code)
                .collect();
            all.push(format!("one entry for each {}", keys.join(", ")));
        }
        _ => {}
    }
    all
}

/// The rules of an object over its own fields.
fn own_rules<'a>(path: &'a str, schema: &'a Value) -> impl Iterator<Item = Rule> + use<'a> {
    messages(schema).map(move |message| Rule {
        path: path.to_owned(),
        message,
    })
}

/// The API server's message when a rule is broken.
fn messages(schema: &Value) -> impl Iterator<Item = String> + use<> {
    let rules = list(&schema["x-kubernetes-validations"]);
    let messages = rules.into_iter().filter_map(|rule| {
        let message = rule["message"].as_str()?;
        Some(one_line(message))
    });
    messages.collect::<Vec<_>>().into_iter()
}

fn is_object(schema: &Value) -> bool {
    schema["properties"].is_object()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The description, on one line.
fn sentence(schema: &Value) -> String {
    one_line(schema["description"].as_str().unwrap_or_default())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn code(value: &Value) -> String {
    match value.as_str() {
        Some("") => "`\"\"`".to_owned(),
        Some(text) => format!("`{text}`"),
        None => format!("`{value}`"),
    }
}

fn wrapped(text: &str) -> String {
    lines(text, "")
}

/// A list item, with its further lines below its text.
fn hanging(text: &str) -> String {
    lines(text, "  ")
}

fn lines(text: &str, indent: &str) -> String {
    let (mut all, mut line) = (String::new(), String::new());
    for word in text.split(' ') {
        let is_full = line.chars().count() + 1 + word.chars().count() > WIDTH;
        if is_full {
            all += &line;
            all.push('\n');
            line = format!("{indent}{word}");
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
    }
    all + &line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    #[test]
    fn the_page_is_what_the_crds_say() {
        let committed = std::fs::read_to_string(repository().join(REFERENCE)).unwrap_or_default();
        let written = reference(repository()).expect("CRDs");
        assert!(
            committed == written,
            "{REFERENCE} is out of date: run `cargo xtask reference`"
        );
    }

    #[test]
    fn a_kind_is_told_with_its_fields_bounds_rules_and_columns() {
        let crd = serde_saphyr::from_str(
            "
spec:
  names: {kind: Thing, plural: things, shortNames: [th]}
  versions:
  - additionalPrinterColumns: [{name: Phase}, {name: Size, priority: 1}]
    selectableFields: [{jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        description: |-
          A thing
          to lend.
        properties:
          spec:
            x-kubernetes-validations: [{rule: self == oldSelf, message: a thing cannot be changed}]
            required: [parts]
            properties:
              parts:
                description: Its parts.
                type: array
                minItems: 1
                maxItems: 3
                items:
                  type: object
                  properties:
                    name: {type: string, maxLength: 9, description: 'Its a|b name.', x-kubernetes-validations: [{message: must be lower case}]}
              size: {type: string, enum: [S, L], default: S, description: Its size.}
",
        );
        let section = section(&crd.expect("YAML")).expect("a kind");
        assert_eq!(
            section,
            "
## Thing

A thing to lend.

`kubectl get things` (short: `th`) prints the columns Phase; with `-o wide` also Size.
`--field-selector` can select by `spec.size`.

**Conditions.** This kind has no conditions.

| Field | Type | Default | Bounds | Meaning |
|---|---|---|---|---|
| `spec.parts` | list of objects | *required* | 1 to 3 entries | Its parts. |
| `spec.parts[].name` | string |  | at most 9 characters; must be lower case | Its a\\|b name. |
| `spec.size` | string | `S` | one of `S`, `L` | Its size. |

The rules of objects:

* `spec`: a thing cannot be changed.
"
        );
    }
}
