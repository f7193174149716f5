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
mod mishaps;
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
/// upgrade, 20 forced reconciles, a token that does not work, 1Password's request limit, policies
/// changed by hand, removal.
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
    /// Only the cases install, request from Git and token dies; by default in the ways flux and
    /// argocd-server-side-annotation
    #[arg(long, conflicts_with = "cases")]
    short: bool,
    /// Only this case, and the installation; can be repeated
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<String>,
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

/// The cases besides the installation, and the ways, of a short run.
const SHORT_CASES: [&str; 2] = ["request from Git", "token dies"];
const SHORT_WAYS: [&str; 2] = ["flux", "argocd-server-side-annotation"];

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
    let ways = match arguments.short && arguments.ways.is_empty() {
        true => Way::chosen(&SHORT_WAYS.map(str::to_owned))?,
        false => Way::chosen(&arguments.ways)?,
    };
    keyloan::cluster::install_tls();
    let mut report = match arguments.short {
        true => Report::of(SHORT_CASES.map(str::to_owned).into()),
        false => Report::of(arguments.cases),
    };
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
