//! The `keyloan` command: reads its arguments and runs what they ask for.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod run;

#[allow(
    clippy::print_stderr,
    reason = "the last word of a command that failed"
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
