//! Fetches and compiles the SDK core, and prints its path. `cargo xtask core` runs this program.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;

/// Fetch the 1Password SDK core, compile it for the operator, and print the compiled file's path
#[derive(Parser)]
struct Arguments {
    /// The file to write, with its manifest beside it; by default a file in the cache folder
    #[arg(value_name = "FILE")]
    out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let compiled = match Arguments::parse().out {
        None => keyloan_core::compiled_core().await?,
        Some(out) => {
            let wasm = keyloan_cluster::core_wasm().await?;
            keyloan_core::compile(&wasm, &out)?;
            out
        }
    };
    writeln!(std::io::stdout(), "{}", compiled.display())?;
    Ok(())
}
