//! Lets 1Password's official clients judge the simulated service: `cargo xtask judges`.
//!
//! They have newer cores than Keyloan, and hosts that 1Password made. What they find in the simulated
//! service is compared with what its account has, and with what Keyloan's own core finds.

mod client;
mod court;
mod install;
mod own;
mod report;
mod steps;
mod verdict;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// Lets the newest official clients of 1Password, and Keyloan's own core, take the same steps against the simulated
/// service, and prints what differs.
///
/// The clients are fetched into the cache folder the first time, with npm and pip. The exit code is 1 if anything
/// differs, and 2 if a judge could not be heard.
#[derive(Parser)]
#[command(name = "cargo xtask judges", bin_name = "cargo xtask judges")]
struct Arguments {
    /// The format of the result
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// A table for people.
    Table,
    /// JSON for programs.
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cargo xtask judges: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let report = report::Report::of(&court::hold().await?);
    let text = match arguments.output {
        Output::Table => report.to_string(),
        Output::Json => report.to_json()?,
    };
    writeln!(io::stdout(), "{}", text.trim_end())?;
    Ok(ExitCode::from(u8::from(report.differs())))
}
