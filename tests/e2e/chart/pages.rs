//! The page of each chart has what helm-docs writes, and values, their schema and their page have the same members.

use std::collections::BTreeSet;
use std::fs;

use keyloan_cluster::{Chart, chart_page};
use serde_json::Value;

#[tokio::test]
async fn the_page_of_each_chart_is_what_the_command_writes_and_explains_each_value() {
    for chart in Chart::ALL {
        let committed = fs::read_to_string(chart.folder().join("README.md")).unwrap_or_default();
        let page = chart_page(chart).await.unwrap();
        let name = chart.name();
        assert!(
            committed == page,
            "the README.md of {name} is out of date: run `cargo xtask charts`"
        );
        let (_, table) = page.split_once("|-----|").unwrap();
        let rows: Vec<_> = table
            .lines()
            .filter(|line| line.starts_with("| "))
            .collect();
        assert!(rows.len() > 4, "{page}");
        for row in rows {
            let said = row.trim_end_matches('|').rsplit('|').next().unwrap();
            assert!(
                !said.trim().is_empty(),
                "{name} has a value without a comment of the form `# -- ...`: {row}"
            );
        }
    }
}

/// A value of an earlier release, which the templates refuse with what to set instead, and the one that helm adds to all charts.
const NO_VALUES: [&str; 2] = ["namespaces", "global"];

#[test]
fn each_value_is_in_the_schema_and_the_schema_has_no_other() {
    for chart in Chart::ALL {
        let text = |name: &str| fs::read_to_string(chart.folder().join(name)).unwrap();
        let values: Value = serde_saphyr::from_str(&text("values.yaml")).unwrap();
        let schema: Value = serde_json::from_str(&text("values.schema.json")).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        compare(chart.name(), &values, &schema);
    }
}

/// Below an object that has only the members that its schema lists.
fn compare(path: &str, values: &Value, schema: &Value) {
    let keys = |value: &Value| -> BTreeSet<String> {
        let members = value.as_object().into_iter().flatten();
        members
            .map(|(key, _)| key.clone())
            .filter(|key| !NO_VALUES.contains(&key.as_str()))
            .collect()
    };
    let (named, described) = (keys(values), keys(&schema["properties"]));
    let is_free = schema["additionalProperties"] != false;
    // A default may leave members out, such as those of an empty object.
    if is_free || named.is_empty() {
        return;
    }
    assert_eq!(named, described, "{path}");
    for key in named {
        compare(
            &format!("{path}.{key}"),
            &values[&key],
            &schema["properties"][&key],
        );
    }
}

#[test]
fn each_chart_says_what_a_catalogue_shows() {
    // `cargo xtask release` adds the address of the sources.
    for chart in Chart::ALL {
        let text = fs::read_to_string(chart.folder().join("Chart.yaml")).unwrap();
        let about: Value = serde_saphyr::from_str(&text).unwrap();
        for member in ["description", "icon", "kubeVersion"] {
            assert!(about[member].is_string(), "{member}");
        }
        for member in ["keywords", "maintainers"] {
            assert!(
                about[member]
                    .as_array()
                    .is_some_and(|list| !list.is_empty()),
                "{member}"
            );
        }
        let annotations = &about["annotations"];
        assert_eq!(annotations["artifacthub.io/license"], "Apache-2.0");
        assert_eq!(annotations["artifacthub.io/category"], "security");
        if chart == Chart::Crds {
            kinds_and_examples(annotations);
        }
    }
}

/// The catalogue's list of kinds is that of the chart, and has an example only of those.
fn kinds_and_examples(annotations: &Value) {
    let listed = |key: &str| -> Vec<Value> {
        serde_saphyr::from_str(annotations[key].as_str().unwrap()).unwrap()
    };
    let crds = keyloan::manifests::crds().unwrap();
    let kinds: BTreeSet<_> = crds
        .iter()
        .map(|(_, crd)| crd["spec"]["names"]["kind"].to_string())
        .collect();
    let kind = |object: Value| object["kind"].to_string();
    let shown: BTreeSet<_> = listed("artifacthub.io/crds")
        .into_iter()
        .map(kind)
        .collect();
    assert_eq!(shown, kinds);
    let examples: BTreeSet<_> = listed("artifacthub.io/crdsExamples")
        .into_iter()
        .map(kind)
        .collect();
    assert!(!examples.is_empty() && examples.is_subset(&kinds));
}

const COMPARED: &str = include_str!("../../../docs/charts.md");

#[test]
fn the_comparison_leaves_no_row_of_ours_empty_and_names_values_that_exist() {
    let text = fs::read_to_string(Chart::Operator.folder().join("values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let (_, table) = COMPARED
        .split_once("| keyloan |\n|---|---|---|---|\n")
        .unwrap();
    let rows: Vec<_> = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() > 30, "{}", rows.len());
    for row in rows {
        let ours = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        assert!(!ours.is_empty(), "{row}");
        let names = ours.split('`').skip(1).step_by(2);
        // The others are parts of the value before them, or no values.
        for name in names.filter(|name| name.contains('.') && !name.starts_with('.')) {
            let pointer = format!("/{}", name.trim_end_matches(".*").replace('.', "/"));
            assert!(
                values.pointer(&pointer).is_some(),
                "{name} is no value: {row}"
            );
        }
    }
}
