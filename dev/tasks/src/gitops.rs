//! `cargo xtask gitops`: builds and runs the cases with Argo CD and Flux, which are a separate program
//! (`dev/gitops`).
//!
//! It is separate because it needs the whole of the operator's library.

use crate::workspace::{build, run_to_its_end};

/// The arguments for the program.
#[derive(clap::Args)]
pub struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the command; ends with its exit code.
pub async fn run(Arguments { arguments }: Arguments) -> anyhow::Result<()> {
    // The second is the operator with a clock that can be moved.
    let [gitops, _operator] = build(["keyloan-gitops", "keyloan-endurance"]).await?;
    run_to_its_end(&gitops, &arguments).await
}
