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
            eprintln!("keyloan: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes. Many messages quote their cause, which is not repeated.
fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !told.contains(&cause) {
            told += &format!(": {cause}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::told;

    #[test]
    fn each_cause_is_told_once() {
        let error = anyhow!("no such file").context("cannot read a: no such file; make it");
        assert_eq!(told(&error), "cannot read a: no such file; make it");
        let error = anyhow!("no such file").context("cannot read a");
        assert_eq!(told(&error), "cannot read a: no such file");
    }
}
