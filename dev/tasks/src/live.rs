//! `cargo xtask live`: builds and runs the check against a real 1Password account, which is a
//! separate program (`dev/live`).
//!
//! It is separate because it needs the whole of the operator's library.

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::workspace::build;

/// The arguments for the program.
#[derive(clap::Args)]
pub struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the command; ends with its exit code.
pub async fn run(Arguments { arguments }: Arguments) -> Result<()> {
    let [live] = build(["keyloan-live"]).await?;
    let status = Command::new(live).args(arguments).status().await;
    let status = status.context("cannot start keyloan-live")?;
    std::process::exit(status.code().unwrap_or(1));
}
