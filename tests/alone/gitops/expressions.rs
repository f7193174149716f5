//! The health that Flux waits for: the `healthCheckExprs` of the Kustomizations in `flux/`.

use std::collections::BTreeMap;

use cel::{Context, Program, Value as CelValue};
use serde::Deserialize;
use serde_json::Value;

use super::examples;
use super::states::{Flux, State, states};

/// The expressions for one kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HealthCheck {
    api_version: String,
    kind: String,
    failed: String,
    current: String,
}

impl HealthCheck {
    /// What Flux concludes, in the order in which it looks: the generation first, then failed, then
    /// current (`StatusEvaluator` in github.com/fluxcd/pkg/runtime/cel).
    fn judge(&self, object: &Value) -> Flux {
        let observed = &object["status"]["observedGeneration"];
        if *observed != object["metadata"]["generation"] {
            return Flux::InProgress;
        }
        match (holds(&self.failed, object), holds(&self.current, object)) {
            (true, _) => Flux::Failed,
            (_, true) => Flux::Current,
            _ => Flux::InProgress,
        }
    }
}

/// Whether an expression holds for an object, whose members are its variables.
fn holds(expression: &str, object: &Value) -> bool {
    let program = Program::compile(expression).unwrap_or_else(|e| panic!("{expression}: {e:?}"));
    let mut context = Context::default();
    for (name, member) in object.as_object().unwrap() {
        context.add_variable(name.as_str(), member).unwrap();
    }
    match program.execute(&context) {
        Ok(CelValue::Bool(holds)) => holds,
        other => panic!("{expression}: {other:?}"),
    }
}

/// The expressions in all Kustomizations of `flux/`, by kind.
fn health_checks() -> BTreeMap<String, HealthCheck> {
    let mut checks = BTreeMap::new();
    for file in ["platform.yaml", "requests.yaml"] {
        let text = std::fs::read_to_string(examples().join("flux").join(file)).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        for document in documents {
            let found = document["spec"]["healthCheckExprs"].as_array();
            for check in found.into_iter().flatten() {
                let check: HealthCheck = serde_json::from_value(check.clone()).unwrap();
                assert_eq!(check.api_version, "keyloan.dev/v1alpha1");
                checks.insert(check.kind.clone(), check);
            }
        }
    }
    checks
}

#[test]
fn flux_waits_for_what_passes_and_fails_at_once_for_what_only_a_person_can_mend() {
    let checks = health_checks();
    assert_eq!(checks.len(), 3, "the kinds with a status");
    for state in states() {
        let judged = checks[state.kind()].judge(&state.object);
        assert_eq!(judged, state.flux, "{} {}", state.kind(), state.name);
    }
}

/// Without expressions, Flux and `kubectl wait` go by `Stalled` alone: it says the same.
#[test]
fn what_fails_is_what_is_stalled() {
    for State {
        name, object, flux, ..
    } in states()
    {
        let conditions = object["status"]["conditions"].as_array();
        let is_stalled = conditions.is_some_and(|conditions| {
            let mut conditions = conditions.iter();
            conditions.any(|c| c["type"] == "Stalled" && c["status"] == "True")
        });
        assert_eq!(is_stalled, flux == Flux::Failed, "{name}");
    }
}
