//! `keyloan-bench`: measures Keyloan on real parts and prints each figure beside its aim.
//!
//! `cargo xtask bench` builds what is measured and starts this. docs/benchmarks.md says what the figures mean.

mod arrivals;
mod audit;
mod floor;
mod host;
mod latency;
mod loans;
mod process;
mod report;
mod run;
mod scale;
mod service;
mod stage;
mod stopwatch;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use run::Programs;
use scale::{LoadScale, Scale};

/// Measures Keyloan on a real API server and the real 1Password core, beside a simulated 1Password service. Takes about a
/// quarter of an hour, with --load about half an hour; says on standard error how far it has come.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    /// Measures how the operator's cost grows with load and history, instead of what one loan costs.
    #[arg(long)]
    load: bool,
    /// Less of everything: not the figures to quote.
    #[arg(long)]
    quick: bool,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For machines.
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is gone, the exit code must do.
            let _ = writeln!(std::io::stderr(), "cargo xtask bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// An aim that is missed is a result, not an error.
async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let programs = Programs::beside_this_one()?;
    let report = match (arguments.load, arguments.quick) {
        (false, false) => run::run(Scale::REAL, "cargo xtask bench", &programs).await?,
        (false, true) => run::run(Scale::QUICK, "cargo xtask bench --quick", &programs).await?,
        (true, false) => {
            run::load::run(LoadScale::REAL, "cargo xtask bench --load", &programs).await?
        }
        (true, true) => {
            let command = "cargo xtask bench --load --quick";
            run::load::run(LoadScale::QUICK, command, &programs).await?
        }
    };
    let text = match arguments.output {
        Output::Table => report.to_string(),
        Output::Json => report.to_json()?,
    };
    Ok(writeln!(std::io::stdout(), "{}", text.trim_end())?)
}
