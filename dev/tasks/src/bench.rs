//! `cargo xtask bench`: builds optimized programs, and measures them with dev/bench.

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::workspace::build_for_image;

/// The simulated 1Password, and the program that measures it and the operator.
const BESIDE: [&str; 5] = ["-p", "keyloan-simulator", "-p", "keyloan-bench", "--bins"];

/// Options of the command: those of dev/bench, which `cargo xtask bench --help` shows.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// `--load`, `--quick`, `-o json`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and measures.
pub async fn run(Arguments { arguments }: Arguments) -> Result<()> {
    // One after the other: packages that are built together share their features.
    build_for_image().await?;
    let mut plugin = cargo("build");
    plugin.args(["-p", "keyloan", "--bin", "kubectl-keyloan"]);
    succeed(plugin).await?;
    let mut build = cargo("build");
    build.args(BESIDE);
    succeed(build).await?;
    let mut measure = cargo("run");
    measure
        .args(["--quiet", "-p", "keyloan-bench", "--"])
        .args(arguments);
    succeed(measure).await
}

fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new("cargo");
    command
        .arg(subcommand)
        .arg("--release")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .kill_on_drop(true);
    command
}

async fn succeed(mut command: Command) -> Result<()> {
    let status = command.status().await.context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo ended with {status}; the error is above");
    }
    Ok(())
}
