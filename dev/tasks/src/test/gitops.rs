//! A short part of `cargo xtask gitops`: the real Flux and Argo CD install Keyloan from Git, make a
//! request, and tell that 1Password refuses its token.

use std::process::{Command, Stdio};

use anyhow::Result;
use keyloan_cluster::GitopsTool;

use super::report::{Outcome, Report};
use super::run::run as run_command;
use crate::workspace::build;

/// The tools, with the way in which each runs.
const TOOLS: [(GitopsTool, &str, &str); 2] = [
    (GitopsTool::Flux, "Flux, a short part", "flux"),
    (
        GitopsTool::ArgoCd,
        "Argo CD, a short part",
        "argocd-server-side-annotation",
    ),
];

/// Runs the tools whose programs are there: building them takes longer than all tests.
pub async fn run(report: &mut Report) {
    for (tool, name, way) in TOOLS {
        match missing(tool) {
            Some(why) => report.leave_out(name, &why),
            None => drop(report.step(name, short_part(way)).await),
        }
    }
}

/// What this machine lacks to run the tool.
fn missing(tool: GitopsTool) -> Option<String> {
    match tool.is_built() {
        Ok(true) if tool == GitopsTool::ArgoCd && !has_redis() => {
            Some("redis-server is not installed".to_owned())
        }
        Ok(true) => None,
        Ok(false) => Some(format!(
            "{} is not in the cache: `cargo xtask gitops` builds it, once",
            tool.version()
        )),
        Err(error) => Some(error.to_string()),
    }
}

fn has_redis() -> bool {
    let mut redis = Command::new("redis-server");
    redis
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    redis.status().is_ok_and(|ended| ended.success())
}

async fn short_part(way: &str) -> Result<Outcome> {
    // The second is the operator with a clock that can be moved.
    let [gitops, _operator] = build(["keyloan-gitops", "keyloan-endurance"]).await?;
    let mut command = tokio::process::Command::new(gitops);
    command.args(["--short", way]).kill_on_drop(true);
    run_command(command).await
}
