//! `cargo xtask`: builds the project's own commands (`dev/tasks`), and runs the one that the user
//! names.
//!
//! Cargo builds a dependency once for each set of features. `cargo run --package` takes the
//! features that one package needs, so the next command would build everything again. This program
//! has no dependencies. It builds the commands with the features of the whole workspace, as all
//! other builds do.

use std::error::Error;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const COMMANDS: &str = "keyloan-tasks";

fn main() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--workspace", "--locked", "--bin", COMMANDS])
        .arg("--manifest-path")
        .arg(workspace)
        .status()?;
    if !built.success() {
        return Err(format!("the commands of dev/tasks could not be built: {built}").into());
    }
    let commands = std::env::current_exe()?.with_file_name(COMMANDS);
    let failed = Command::new(&commands)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(format!("cannot start {}: {failed}", commands.display()).into())
}
