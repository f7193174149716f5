//! `cargo xtask image`: builds and runs the program that makes the operator's image (`dev/image`).
//!
//! It is separate because it contains the compiler of the SDK core.

use crate::workspace::{build, run_to_its_end};

/// The arguments for the program.
#[derive(clap::Args)]
pub struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the command; ends with its exit code.
pub async fn run(Arguments { arguments }: Arguments) -> anyhow::Result<()> {
    let [image] = build(["keyloan-image"]).await?;
    run_to_its_end(&image, &arguments).await
}
