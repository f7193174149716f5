//! `cargo xtask kill`: kills and stops the operator again and again with dev/endurance.

use anyhow::Result;

use crate::workspace::{build, run_to_its_end};

/// Arguments of the run: see `cargo xtask kill --help`.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// `--kills N`, `--terminations N`, `--minutes N`, `--seed N`, `-o json`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the operator beside the program that kills, and runs it.
pub async fn run(Arguments { mut arguments }: Arguments) -> Result<()> {
    let [program, _operator] = build(["keyloan-endurance", "keyloan"]).await?;
    arguments.insert(0, "kill".to_owned());
    run_to_its_end(&program, &arguments).await
}
