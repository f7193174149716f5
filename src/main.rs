//! The `keyloan` command: parses its arguments and runs them.

use std::process::ExitCode;

use clap::Parser;

mod check_health;
mod cli;
mod run;

// musl's own allocator has one lock for all threads. This one returns free memory to the system, as
// the settings of glibc's do for other builds.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
