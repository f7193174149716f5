//! Lets the real Argo CD and Flux install, upgrade and remove Keyloan and its configuration from Git:
//! `cargo xtask gitops`.

mod application;
mod argo;
mod argo_requests;
mod audit;
mod common;
mod controllers;
mod flux;
mod git;
mod objects;
mod report;
mod repositories;
mod site;
mod way;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use report::Report;
use way::Way;

/// Lets the real Argo CD and Flux apply the examples of examples/gitops from a Git server: install,
/// upgrade, 20 forced reconciles, a token that does not work, removal.
///
/// The controllers are built from their Go modules the first time, which takes some minutes, and run
/// beside a private control plane. Needs git, and redis-server for Argo CD. The exit code is 1 if a
/// case failed, and 2 if the run could not be made.
#[derive(Parser)]
#[command(name = "cargo xtask gitops", bin_name = "cargo xtask gitops")]
struct Arguments {
    /// The ways to run, by the beginning of their names, such as `flux`, `argocd` or
    /// `argocd-server-side`; by default all
    ways: Vec<String>,
    /// List the names of all ways and exit
    #[arg(long)]
    list: bool,
    /// Keep the folders of the control planes, with all logs
    #[arg(long)]
    keep: bool,
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
            let _ = writeln!(io::stderr(), "cargo xtask gitops: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.list {
        for way in Way::all() {
            writeln!(io::stdout(), "{}", way.id())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let ways = Way::chosen(&arguments.ways)?;
    keyloan::cluster::install_tls();
    let mut report = Report::default();
    for way in ways {
        match way {
            Way::Flux => flux::run(&mut report, arguments.keep).await?,
            Way::ArgoCd(setting) => argo::run(setting, &mut report, arguments.keep).await?,
        }
    }
    let text = match arguments.output {
        Output::Table => report.to_string(),
        Output::Json => serde_json::to_string_pretty(&report)?,
    };
    writeln!(io::stdout(), "{}", text.trim_end())?;
    Ok(ExitCode::from(u8::from(report.has_failed())))
}
