//! The `keyloan` command: parses its arguments and runs them.

use std::process::ExitCode;

use clap::Parser;

mod check_health;
mod cli;
mod run;

// musl's own allocator has one lock for all threads. docs/image.md compares the memory with that of
// glibc's allocator, which other builds use.
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
