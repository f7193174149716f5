//! `keyloan-bench`: measures Keyloan on real parts and prints each figure beside its aim.
//!
//! `cargo xtask bench` builds the measured programs and starts this one. docs/benchmarks.md
//! explains the figures.

mod arrivals;
mod at_once;
mod audit;
mod floor;
mod host;
mod latency;
mod loans;
mod own_thread;
mod process;
mod report;
mod run;
mod scale;
mod service;
mod stage;
mod stopwatch;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use run::Programs;
use run::load::Part;
use scale::{LoadScale, Scale};

/// Measures Keyloan on a real API server and the real 1Password core, with a simulated 1Password
/// service. Takes about a quarter of an hour, with --load half an hour or more. Prints its progress
/// on standard error.
#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    bin_name = "cargo xtask bench",
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Measure how the operator's cost grows with load and history, instead of the cost of one
    /// loan.
    #[arg(long)]
    load: bool,
    /// Measure only these parts of --load. Repeatable.
    #[arg(long, value_enum, value_name = "PART", requires = "load")]
    only: Vec<Part>,
    /// Measure less of everything: do not quote these figures.
    #[arg(long)]
    quick: bool,
    /// The format of the result.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// The other roles of this program, in which it starts itself.
#[derive(Subcommand)]
enum Role {
    /// The operator with a 1Password that answers at once.
    #[command(hide = true)]
    AtOnce(at_once::Arguments),
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
    let mut arguments = Arguments::parse();
    let done = match arguments.role.take() {
        Some(Role::AtOnce(told)) => at_once::run(told).await,
        None => measure(&arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, the exit code has to suffice.
            let _ = writeln!(std::io::stderr(), "cargo xtask bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    /// The command as the user types it.
    fn command(&self) -> String {
        let mut command = "cargo xtask bench".to_owned();
        for (flag, given) in [(" --load", self.load), (" --quick", self.quick)] {
            command.push_str(if given { flag } else { "" });
        }
        for part in self.only.iter().filter_map(Part::to_possible_value) {
            command.push_str(&format!(" --only {}", part.get_name()));
        }
        command
    }
}

/// A missed aim is a result, not an error.
async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let programs = Programs::beside_this_one()?;
    let command = arguments.command();
    let report = match (arguments.load, arguments.quick) {
        (false, false) => run::run(Scale::REAL, &command, &programs).await?,
        (false, true) => run::run(Scale::QUICK, &command, &programs).await?,
        (true, quick) => {
            let scale = match quick {
                true => LoadScale::QUICK,
                false => LoadScale::REAL,
            };
            let parts = match arguments.only.as_slice() {
                [] => Part::value_variants(),
                only => only,
            };
            run::load::run(scale, parts, &command, &programs).await?
        }
    };
    let text = match arguments.output {
        Output::Table => report.to_string(),
        Output::Json => report.to_json()?,
    };
    Ok(writeln!(std::io::stdout(), "{}", text.trim_end())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_how_its_run_was_started() {
        let command = |arguments: &[&str]| {
            let all = [&["bench"], arguments].concat();
            Arguments::try_parse_from(all).map(|arguments| arguments.command())
        };
        assert_eq!(command(&[]).unwrap(), "cargo xtask bench");
        let given = [
            "--load",
            "--quick",
            "--only",
            "waiting-one",
            "--only",
            "lead",
        ];
        let written = "cargo xtask bench --load --quick --only waiting-one --only lead";
        assert_eq!(command(&given).unwrap(), written);
        assert!(command(&["--only", "lead"]).is_err(), "only with --load");
    }
}
