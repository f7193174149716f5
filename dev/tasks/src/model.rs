//! `cargo xtask model`: searches every order of what can happen to a loan.

use std::process::Command;

use anyhow::{Context, ensure};

/// The arguments of the search: see `cargo xtask model -- --help`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Arguments of the search, such as --deep, --bounds crashes=1,renewals=1 or
    /// --broken overwrites-records
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the search with optimizations, and runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let status = Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "keyloan-model",
            // Other programs of this build are optimized for size.
            "--config",
            "profile.release.package.keyloan-model.opt-level=3",
            "--",
        ])
        .args(&arguments.arguments)
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the search failed ({status})");
    Ok(())
}
