//! The workspace's test programs that need a control plane, identified by their names.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::workspace::{cargo, shown};

/// The names of the test programs that start a control plane.
const ON_CONTROL_PLANE: [&str; 2] = ["apiserver", "e2e"];

/// The names of the test programs under `tests/` in all packages.
#[derive(Debug, PartialEq, Eq)]
pub struct Targets {
    alone: Vec<String>,
    on_control_plane: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Targets {
    /// Reads the names from `cargo metadata`.
    pub async fn of_workspace() -> Result<Self> {
        let mut command = cargo("metadata --no-deps --format-version 1");
        let output = command.output().await.context("cannot start cargo")?;
        ensure!(
            output.status.success(),
            "{} failed: {}",
            shown(&command),
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("cannot parse the output of {}", shown(&command)))?;
        let targets = Self::of(metadata);
        ensure!(
            !targets.on_control_plane.is_empty(),
            "no test program is named {}: where are the tests that need a control plane?",
            ON_CONTROL_PLANE.join(" or ")
        );
        Ok(targets)
    }

    fn of(metadata: Metadata) -> Self {
        let tests = metadata
            .packages
            .into_iter()
            .flat_map(|package| package.targets)
            .filter(|target| target.kind.iter().any(|kind| kind == "test"))
            .map(|target| target.name);
        // Several packages have test programs of the same name, which cargo takes once.
        let tests: BTreeSet<String> = tests.collect();
        let (on_control_plane, alone) = tests
            .into_iter()
            .partition(|name| ON_CONTROL_PLANE.contains(&name.as_str()));
        Self {
            alone,
            on_control_plane,
        }
    }

    /// Adds the test programs that need no control plane to a cargo command.
    pub fn alone(&self, command: Command) -> Command {
        with(command, &self.alone)
    }

    /// Adds the test programs that need a control plane to a cargo command.
    pub fn on_control_plane(&self, command: Command) -> Command {
        with(command, &self.on_control_plane)
    }
}

fn with(mut command: Command, names: &[String]) -> Command {
    for name in names {
        command.args(["--test", name]);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_test_tells_whether_it_needs_a_control_plane() {
        let metadata = serde_json::json!({"packages": [
            {"targets": [{"name": "keyloan", "kind": ["lib"]}, {"name": "alone", "kind": ["test"]}, {"name": "e2e", "kind": ["test"]}]},
            {"targets": [{"name": "apiserver", "kind": ["test"]}, {"name": "e2e", "kind": ["test"]}]},
        ]});
        assert_eq!(
            Targets::of(serde_json::from_value(metadata).unwrap()),
            Targets {
                alone: vec!["alone".into()],
                on_control_plane: vec!["apiserver".into(), "e2e".into()],
            }
        );
    }
}
