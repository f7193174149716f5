//! `cargo xtask ledger`: checks the records of loans with dev/ledger.

use anyhow::Result;

use crate::workspace::{build, run_to_its_end};

/// Arguments of the check: see `cargo xtask ledger --help`.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// `--records FILE`, `--shares FILE`, `-o json`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the check and runs it; the records may come from the standard input.
pub async fn run(Arguments { arguments }: Arguments) -> Result<()> {
    let [program] = build(["keyloan-ledger"]).await?;
    run_to_its_end(&program, &arguments).await
}
