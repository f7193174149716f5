//! `cargo xtask formats`: builds and runs the judges of the notifiers' messages, which are a separate
//! program (`dev/formats`).

use anyhow::Result;

use crate::workspace::{build, run_to_its_end};

/// The arguments for the program.
#[derive(clap::Args)]
pub struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the command; ends with its exit code.
pub async fn run(Arguments { arguments }: Arguments) -> Result<()> {
    let [formats] = build(["keyloan-formats"]).await?;
    run_to_its_end(&formats, &arguments).await
}
