//! `keyloan-endurance`: what the operator endures. `cargo xtask kill` and `cargo xtask soak` build
//! everything and start this.

mod clock;
mod figures;
mod ground;
mod kill;
mod leads;
mod lost;
mod operators;
mod people;
mod progress;
mod settle;
mod soak;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    Kill(kill::Arguments),
    Soak(soak::Arguments),
    /// The operator with a clock that can be moved; this program starts it
    #[command(hide = true)]
    Operator(soak::operator::Arguments),
}

/// What all runs are told.
#[derive(clap::Args)]
struct Common {
    /// How many people borrow at the same time
    #[arg(long, default_value_t = 5)]
    people: usize,
    /// The seed of all random choices. Default: a random one, which is printed
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
    match run(Arguments::parse().role).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // If standard error is closed, only the exit code remains.
            let _ = writeln!(io::stderr(), "the run failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all promises were kept.
async fn run(role: Role) -> anyhow::Result<bool> {
    match role {
        Role::Operator(told) => soak::operator::run(told).await.map(|()| true),
        Role::Kill(told) => {
            let report = kill::run(&told).await?;
            print(&report, told.common.output)?;
            Ok(report.broken.is_empty())
        }
        Role::Soak(told) => {
            let report = soak::run(&told).await?;
            print(&report, told.common.output)?;
            Ok(report.broken.is_empty())
        }
    }
}

fn print(report: &(impl Serialize + Display), output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Table => report.to_string(),
        Output::Json => serde_json::to_string_pretty(report)?,
    };
    Ok(writeln!(io::stdout(), "{}", text.trim_end())?)
}

impl Common {
    fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| fastrand::u64(..))
    }
}
