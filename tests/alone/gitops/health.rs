//! The health that Argo CD shows: `health.lua` for each kind, laid out as Argo CD's own repository
//! has them, and the ConfigMap with all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use mlua::{Lua, LuaSerdeExt as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::states::{State, states};
use super::{compare_or_write, examples};

/// The folder of a kind.
fn folder(kind: &str) -> PathBuf {
    let folder = examples().join("argocd/resource_customizations/keyloan.dev");
    folder.join(kind)
}

/// Argo CD's form of the expectations beside a script.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct HealthTests {
    tests: Vec<HealthTest>,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthTest {
    health_status: Health,
    input_path: String,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Health {
    status: String,
    message: String,
}

/// The health of an object by the script of its kind.
fn health(object: &Value) -> Health {
    let script = folder(object["kind"].as_str().unwrap()).join("health.lua");
    let lua = Lua::new();
    // Argo CD leaves absent members out, and knows no null.
    let object = lua.to_value(object).unwrap();
    lua.globals().set("obj", object).unwrap();
    let script = std::fs::read_to_string(script).unwrap();
    lua.from_value(lua.load(&script).eval().unwrap()).unwrap()
}

fn by_kind() -> BTreeMap<String, Vec<State>> {
    let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for state in states() {
        kinds
            .entry(state.kind().to_owned())
            .or_default()
            .push(state);
    }
    kinds
}

fn yaml(object: &impl Serialize) -> String {
    serde_saphyr::to_string(object).unwrap()
}

#[test]
fn each_state_has_the_health_that_people_expect() {
    let mut seen = Vec::new();
    for state in states() {
        let health = health(&state.object);
        let what = format!("{} {}", state.kind(), state.name);
        assert_eq!(health.status, format!("{:?}", state.argo), "{what}");
        assert!(!health.message.is_empty(), "{what}");
        seen.push(state.argo);
    }
    assert!(seen.len() > 30);
}

#[test]
fn the_files_beside_each_script_are_these_states() {
    for (kind, states) in by_kind() {
        let folder = folder(&kind);
        let mut tests = Vec::new();
        for State { name, object, .. } in &states {
            let input_path = format!("testdata/{name}.yaml");
            compare_or_write(&folder.join(&input_path), &yaml(object));
            tests.push(HealthTest {
                health_status: health(object),
                input_path,
            });
        }
        compare_or_write(
            &folder.join("health_test.yaml"),
            &yaml(&HealthTests { tests }),
        );
        let testdata = std::fs::read_dir(folder.join("testdata")).unwrap();
        assert_eq!(
            testdata.count(),
            states.len(),
            "{kind}: no other file is there"
        );
    }
}

#[test]
fn the_config_map_holds_the_scripts() {
    let mut text = String::from(
        "# The health of Keyloan's kinds for Argo CD: merge it into your argocd-cm. Written from the\n\
         # scripts in resource_customizations/; Argo CD reads it without a restart.\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n  namespace: argocd\n  labels:\n    \
         app.kubernetes.io/name: argocd-cm\n    app.kubernetes.io/part-of: argocd\ndata:\n",
    );
    for kind in by_kind().keys() {
        writeln!(
            text,
            "  resource.customizations.health.keyloan.dev_{kind}: |"
        )
        .unwrap();
        let script = std::fs::read_to_string(folder(kind).join("health.lua")).unwrap();
        for line in script.lines() {
            let indent = if line.is_empty() { "" } else { "    " };
            writeln!(text, "{indent}{line}").unwrap();
        }
    }
    compare_or_write(&examples().join("argocd/argocd-cm.yaml"), &text);
}
