//! `cargo xtask core`: fetches and compiles the SDK core, and prints its path.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;

/// Fetch the 1Password SDK core, compile it for the operator, and print the compiled file's path
#[derive(Parser)]
struct Arguments {
    /// The file to write, with its manifest beside it. Default: a file in the cache folder
    #[arg(value_name = "FILE")]
    out: Option<PathBuf>,
    /// The machine of the operator that loads the file, if not this one
    #[arg(long, default_value = keyloan_core::TARGET)]
    target: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { out, target } = Arguments::parse();
    let compiled = match out {
        None => keyloan_core::compiled_core().await?,
        Some(out) => {
            let wasm = keyloan_cluster::core_wasm().await?;
            keyloan_core::compile(&wasm, &out, &target)?;
            out
        }
    };
    writeln!(std::io::stdout(), "{}", compiled.display())?;
    Ok(())
}
