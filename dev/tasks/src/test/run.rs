//! Runs a command as a step.

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::report::Outcome;
use crate::workspace::{cargo, shown};

/// Runs cargo; its output goes to ours.
pub async fn check(arguments: &str) -> Result<Outcome> {
    run(cargo(arguments)).await
}

/// Runs a command; its output goes to ours.
pub async fn run(mut command: Command) -> Result<Outcome> {
    let status = command
        .status()
        .await
        .with_context(|| format!("cannot start {}", shown(&command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(&command));
    }
    Ok(Outcome::Passed)
}
