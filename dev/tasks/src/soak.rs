//! `cargo xtask soak`: hours of loans by a fast clock, with dev/endurance.

use anyhow::Result;

use crate::workspace::{build, run_to_its_end};

/// Arguments of the run: see `cargo xtask soak --help`.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// `--minutes N`, `--seed N`, `-o json`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the program, which is also the operator with a fast clock, and runs it.
pub async fn run(told: Arguments) -> Result<()> {
    let [program] = build(["keyloan-endurance"]).await?;
    let mut arguments = told.arguments;
    arguments.insert(0, "soak".to_owned());
    run_to_its_end(&program, &arguments).await
}
