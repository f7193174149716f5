//! What holds for every manifest in `crds/`, seen without an API server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use keyloan::manifests::{self, Boundary, Operator};
use serde_json::Value;

/// The parts of Kubernetes' own that our schemas embed, with Kubernetes' own bounds.
const NOT_OURS: [&str; 1] = ["AccessFlow.spec.namespaces.selector"];

#[test]
fn crds_hold_what_the_generator_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let files = manifests::files(&Boundary::default()).unwrap();
    for file in &files {
        let committed = std::fs::read_to_string(folder.join(&file.name)).unwrap_or_default();
        assert!(
            committed == file.to_yaml().unwrap(),
            "crds/{} is out of date: run `cargo run -- manifests`",
            file.name
        );
    }
    let expected: BTreeSet<PathBuf> = files.iter().map(|file| folder.join(&file.name)).collect();
    let present: BTreeSet<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(
        present, expected,
        "crds/ holds nothing but what the generator writes"
    );
}

#[test]
fn the_templates_of_the_chart_are_what_the_generator_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/keyloan-crds/templates");
    let templates = manifests::templates().unwrap();
    for (name, text) in &templates {
        let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            committed == *text,
            "{name} is out of date: run `cargo run -- manifests --chart charts/keyloan-crds`"
        );
    }
    let mut expected: BTreeSet<_> = templates.into_iter().map(|(name, _)| name).collect();
    expected.extend(["_values.tpl", "NOTES.txt"].map(String::from));
    let present: BTreeSet<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(present, expected);
}

#[test]
fn the_schema_of_the_config_chart_is_what_the_generator_writes() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/keyloan-config");
    let committed = std::fs::read_to_string(chart.join("values.schema.json")).unwrap_or_default();
    assert!(
        committed == manifests::config_schema().unwrap(),
        "it is out of date: run `cargo run -- manifests --config-chart charts/keyloan-config`"
    );
}

#[test]
fn the_command_writes_what_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("new").join("crds");
    let command = std::process::Command::new(env!("CARGO_BIN_EXE_keyloan"))
        .args(["manifests", "--dir"])
        .arg(&written)
        .output()
        .unwrap();
    assert!(
        command.status.success(),
        "{}",
        String::from_utf8_lossy(&command.stderr)
    );
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for entry in std::fs::read_dir(&committed).unwrap() {
        let name = entry.unwrap().file_name();
        let read = |folder: &Path| std::fs::read_to_string(folder.join(&name)).unwrap();
        assert!(
            read(&written) == read(&committed),
            "{} differs",
            name.display()
        );
    }
}

#[test]
fn the_command_takes_the_names_of_an_installation() {
    let folder = tempfile::tempdir().unwrap();
    let operator = "system:serviceaccount:elsewhere:lender=elsewhere-links";
    let command = std::process::Command::new(env!("CARGO_BIN_EXE_keyloan"))
        .arg("manifests")
        .arg("--dir")
        .arg(folder.path())
        .args(["--operator", operator, "--email", "request.userInfo.uid"])
        .args(["--email-domain", "example.com"])
        .output()
        .unwrap();
    assert!(
        command.status.success(),
        "{}",
        String::from_utf8_lossy(&command.stderr)
    );
    let boundary = Boundary {
        operators: vec![Operator {
            username: "system:serviceaccount:elsewhere:lender".into(),
            links_namespace: "elsewhere-links".into(),
        }],
        email: "request.userInfo.uid".into(),
        email_domain: Some("example.com".into()),
        ..Boundary::default()
    };
    for file in manifests::files(&boundary).unwrap() {
        let written = std::fs::read_to_string(folder.path().join(&file.name)).unwrap();
        assert!(written == file.to_yaml().unwrap(), "{} differs", file.name);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = manifests::write(file.path(), &Boundary::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&file.path().display().to_string()),
        "{error}"
    );
}

#[test]
fn what_is_written_is_what_was_meant() {
    for file in manifests::files(&Boundary::default()).unwrap() {
        let read: Vec<Value> = serde_saphyr::from_multiple(&file.to_yaml().unwrap()).unwrap();
        assert_eq!(read, file.objects, "{}", file.name);
    }
}

#[test]
fn every_field_is_documented() {
    let undocumented: Vec<String> = fields()
        .into_iter()
        // What an item is, is said where its list is described.
        .filter(|field| !field.path.ends_with("[]"))
        .filter(|field| {
            field.schema["description"]
                .as_str()
                .is_none_or(str::is_empty)
        })
        .map(|field| field.path)
        .collect();
    assert_eq!(
        undocumented,
        Vec::<String>::new(),
        "these have no doc comment in src/api"
    );
}

#[test]
fn no_description_speaks_of_rust() {
    let told: Vec<String> = fields()
        .into_iter()
        .filter(|field| {
            field.schema["description"]
                .to_string()
                .contains("Auto-generated")
        })
        .map(|field| field.path)
        .collect();
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn every_list_is_capped_and_says_how_it_merges() {
    for field in fields()
        .into_iter()
        .filter(|field| field.schema["type"] == "array")
    {
        assert!(
            field.schema["x-kubernetes-list-type"].is_string(),
            "{}",
            field.path
        );
        assert!(
            field.schema["maxItems"].is_number() || not_ours(&field.path),
            "{} could grow without end: give it a length(max = ...)",
            field.path
        );
    }
}

#[test]
fn every_text_that_people_write_is_capped() {
    for field in fields()
        .into_iter()
        .filter(|field| field.schema["type"] == "string")
    {
        let written_by_people =
            !field.path.contains(".status.") && !field.path.starts_with("AccessRecord");
        let schema = &field.schema;
        let capped = schema["maxLength"].is_number() || schema["enum"].is_array();
        assert!(
            capped || !written_by_people || not_ours(&field.path),
            "{} could be of any length: give it a length(max = ...)",
            field.path
        );
    }
}

#[test]
fn numbers_and_times_have_formats_that_the_api_server_knows() {
    for field in fields() {
        if let Some(format) = field.schema["format"].as_str() {
            assert!(
                ["int64", "date-time"].contains(&format),
                "{}: {format}",
                field.path
            );
        }
        assert!(
            field.schema["nullable"].is_null(),
            "{}: absent says it all",
            field.path
        );
    }
}

#[test]
fn a_status_that_nobody_has_written_says_so() {
    let with_status: Vec<_> = fields()
        .into_iter()
        .filter(|field| field.path.ends_with(".status") && field.path.matches('.').count() == 1)
        .collect();
    assert_eq!(
        with_status.len(),
        4,
        "the integration, the flow, the grant and the notifier"
    );
    for field in with_status {
        assert_eq!(
            field.schema["default"],
            serde_json::json!({ "observedGeneration": -1 })
        );
    }
}

#[test]
fn every_refusal_begins_with_a_known_prefix() {
    let mut refusals = 0;
    for (_, objects) in manifests::validating_policies(&Boundary::default()).unwrap() {
        for policy in objects
            .iter()
            .filter(|o| o["kind"] == "ValidatingAdmissionPolicy")
        {
            for validation in policy["spec"]["validations"].as_array().unwrap() {
                let message = validation["message"].as_str().unwrap();
                assert!(
                    [
                        "identity",
                        "status",
                        "records",
                        "token",
                        "notifier",
                        "metadata",
                        "ownership",
                        "link"
                    ]
                    .iter()
                    .any(|concern| message.starts_with(&format!("keyloan-{concern}: "))),
                    "{message}"
                );
                assert_eq!(validation["reason"], "Forbidden", "{message}");
                refusals += 1;
            }
        }
    }
    assert!(refusals >= 15, "{refusals}");
}

#[test]
fn the_names_of_the_installation_enter_the_policies() {
    let boundary = Boundary {
        operators: vec![Operator {
            username: "system:serviceaccount:elsewhere:lender".into(),
            links_namespace: "elsewhere-links".into(),
        }],
        email: "request.userInfo.extra['example.com/email'][0]".into(),
        ..Boundary::default()
    };
    let text: String = manifests::files(&boundary)
        .unwrap()
        .iter()
        .map(|file| file.to_yaml().unwrap())
        .collect();
    assert!(text.contains("'system:serviceaccount:elsewhere:lender'"));
    assert!(text.contains("request.userInfo.extra['example.com/email'][0]"));
    assert!(!text.contains("serviceaccount:keyloan:"));
}

/// A field of a kind, such as `AccessGrant.spec.item.vault`, or the items of one, `...recipients[]`.
struct Field {
    path: String,
    schema: Value,
}

fn not_ours(path: &str) -> bool {
    NOT_OURS.iter().any(|prefix| path.starts_with(prefix))
}

fn fields() -> Vec<Field> {
    let mut fields = Vec::new();
    for (_, crd) in manifests::crds().unwrap() {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        fields.push(Field {
            path: kind.clone(),
            schema: schema.clone(),
        });
        add_fields_below(&kind, schema, &mut fields);
    }
    assert!(
        fields.len() > 150,
        "the walk sees the schemas: {}",
        fields.len()
    );
    fields
}

fn add_fields_below(path: &str, schema: &Value, fields: &mut Vec<Field>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        add_fields_below(&path, property, fields);
        fields.push(Field {
            path,
            schema: property.clone(),
        });
    }
    if schema["items"].is_object() {
        let path = format!("{path}[]");
        add_fields_below(&path, &schema["items"], fields);
        fields.push(Field {
            path,
            schema: schema["items"].clone(),
        });
    }
}
