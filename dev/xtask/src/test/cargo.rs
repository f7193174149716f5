//! Runs cargo on this workspace.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::report::Outcome;

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A cargo command on the workspace; its arguments are separated by spaces.
pub fn cargo(arguments: &str) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(arguments.split(' '))
        .current_dir(workspace())
        .kill_on_drop(true);
    command
}

/// Runs cargo with its output where ours goes.
pub async fn check(arguments: &str) -> Result<Outcome> {
    run(cargo(arguments)).await
}

/// Runs a command with its output where ours goes.
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

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}
