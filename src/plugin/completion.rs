//! `kubectl keyloan completion`: the script by which a shell completes the command's arguments.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::arguments::Arguments as Program;
use super::failure::{Exit, Failure};

/// Print the script that completes `kubectl-keyloan` in a shell.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell.
    shell: Shell,
}

pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    // Shells complete words that are programs: with a hyphen.
    let mut program = Program::command().bin_name("kubectl-keyloan");
    clap_complete::generate(
        arguments.shell,
        &mut program,
        "kubectl-keyloan",
        &mut script,
    );
    let script = String::from_utf8(script)
        .map_err(|error| Failure::new(format!("cannot write the script: {error}")))?;
    super::output::put(script.trim_end());
    Ok(Exit::Done)
}
