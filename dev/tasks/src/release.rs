//! `cargo xtask release`: builds and runs the program that makes the files of a release
//! (`dev/release`).

use crate::workspace::{build, run_to_its_end};

/// The arguments for the program.
#[derive(clap::Args)]
pub struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the command; ends with its exit code.
pub async fn run(Arguments { arguments }: Arguments) -> anyhow::Result<()> {
    // The plugin of this build writes the completion scripts.
    let [release, _plugin] = build(["keyloan-release", "kubectl-keyloan"]).await?;
    run_to_its_end(&release, &arguments).await
}
