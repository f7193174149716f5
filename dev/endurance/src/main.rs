//! `keyloan-endurance`: kills and stops the operator again and again while people borrow, and
//! checks the ledger afterwards. `cargo xtask kill` builds everything and starts this.

mod aim;
mod ground;
mod leads;
mod lost;
mod operators;
mod people;
mod progress;
mod report;
mod run;
mod settle;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Kills the operator at random moments and restarts it, and then stops it as a rollout does, while
/// several people borrow. Two replicas run under one lease. Afterwards all loans are ended, and the
/// records are checked against the simulated 1Password and the API server's audit log.
///
/// The exit code is 1 if a promise is broken.
#[derive(Parser)]
#[command(name = "cargo xtask kill", bin_name = "cargo xtask kill")]
struct Arguments {
    /// How often to kill a replica (SIGKILL)
    #[arg(long, default_value_t = 500)]
    kills: usize,
    /// How often to stop a replica (SIGTERM), after the kills
    #[arg(long, default_value_t = 200)]
    terminations: usize,
    /// Stop after this time, whatever remains to be done
    #[arg(long, default_value_t = 90)]
    minutes: u64,
    /// How many people borrow at the same time
    #[arg(long, default_value_t = 5)]
    people: usize,
    /// The seed of all random choices. Default: a new one, which is printed
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the folder of the control plane, with the audit log, the operators' logs and what was
    /// checked
    #[arg(long)]
    keep: bool,
    /// The format of the result
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
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // If standard error is closed, only the exit code remains.
            let _ = writeln!(io::stderr(), "cargo xtask kill: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all promises were kept.
async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let plan = run::Plan {
        kills: arguments.kills,
        terminations: arguments.terminations,
        at_most: Duration::from_secs(60 * arguments.minutes),
        people: arguments.people,
        keep: arguments.keep,
        seed: arguments.seed.unwrap_or_else(|| fastrand::u64(..)),
    };
    let report = run::run(&plan).await?;
    let text = match arguments.output {
        Output::Table => report.to_string(),
        Output::Json => serde_json::to_string_pretty(&report)?,
    };
    writeln!(io::stdout(), "{}", text.trim_end())?;
    Ok(report.broken.is_empty())
}
