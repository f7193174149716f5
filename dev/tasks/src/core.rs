//! `cargo xtask core`: fetches the 1Password SDK core, unless it is cached, and prints its path.
//! With `--compile` it compiles the core.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, ensure};

use crate::workspace::{build, shown};

/// Options of the command.
#[derive(clap::Args)]
pub struct Arguments {
    /// Compile it for the operator into this file, with its manifest beside it
    #[arg(long, value_name = "FILE")]
    compile: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(Arguments { compile }: Arguments) -> anyhow::Result<()> {
    let path = match compile {
        None => keyloan_cluster::core_wasm().await?,
        Some(out) => {
            // A separate program, because it contains a compiler of WebAssembly, which the other
            // commands do not need.
            let [compiler] = build(["keyloan-core"]).await?;
            let mut compile = tokio::process::Command::new(compiler);
            compile.arg(&out);
            let status = compile.status().await;
            let status = status.with_context(|| format!("cannot start {}", shown(&compile)))?;
            ensure!(
                status.success(),
                "the core was not compiled: {} ended with {status}",
                shown(&compile)
            );
            return Ok(());
        }
    };
    writeln!(std::io::stdout(), "{}", path.display())?;
    Ok(())
}
