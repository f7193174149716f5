//! `cargo xtask core`: fetches the 1Password SDK core, unless it is cached, and prints its path.

use std::io::Write;

/// Runs the command.
pub async fn run() -> anyhow::Result<()> {
    let path = keyloan_cluster::core_wasm().await?;
    writeln!(std::io::stdout(), "{}", path.display())?;
    Ok(())
}
