//! `cargo xtask judges`: builds and runs the judges of the simulated service, which are a separate
//! program (`dev/judges`).
//!
//! It is separate because it needs the whole of the operator's library.

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
    let [judges] = build(["keyloan-judges"]).await?;
    run_to_its_end(&judges, &arguments).await
}
