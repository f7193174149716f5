//! The `keyloan` command: parses its arguments and runs them.

use std::process::ExitCode;

use clap::Parser;

mod check_health;
mod cli;
mod run;

#[allow(
    clippy::print_stderr,
    reason = "a command that fails reports its error here"
)]
fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keyloan: {error:#}");
            ExitCode::FAILURE
        }
    }
}
