//! `cargo xtask formats`: builds and runs the judges of the notifiers' messages, which are a separate
//! program (`dev/formats`).

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
    let [formats] = build(["keyloan-formats"]).await?;
    let status = Command::new(formats).args(arguments).status().await;
    let status = status.context("cannot start keyloan-formats")?;
    std::process::exit(status.code().unwrap_or(1));
}
