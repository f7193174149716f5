//! `keyloan-ledger`: checks records that kubectl has printed. `cargo xtask ledger` starts it.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use keyloan_ledger::{AuditLog, Given, Limits, check, read_list, read_secrets};

/// Checks AccessRecords: what they say must fit together, and fit what else is known. Reads what
/// kubectl prints: `kubectl get accessrecords,accessgrants -A -o json | cargo xtask ledger`.
///
/// The exit code is 0 if nothing was found, 1 if something was, and 2 if the input cannot be read.
#[derive(Parser)]
#[command(name = "cargo xtask ledger", bin_name = "cargo xtask ledger")]
struct Arguments {
    /// The records, and the grants if the file has them. Default: the standard input
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// The link Secrets or, better, only their metadata, one in each line
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// The shares as the simulated 1Password lists them under /_control/shares
    #[arg(long, value_name = "FILE")]
    shares: Option<PathBuf>,
    /// An earlier copy of the records: nothing in it may have been lost or rewritten
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// The API server's audit log, in JSON lines
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// The time when the records were read. Default: now
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// How many seconds 1Password's clock is ahead of the operator's
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    clock_ahead: u32,
    /// The username of the operator
    #[arg(
        long,
        value_name = "USERNAME",
        default_value = "system:serviceaccount:keyloan-system:keyloan"
    )]
    operator: String,
    /// The format of the findings
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// For people, one line for each finding.
    Text,
    /// For machines.
    Json,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // If standard error is closed, only the exit code remains.
            let _ = writeln!(io::stderr(), "cargo xtask ledger: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing was found.
fn run(arguments: &Arguments) -> Result<bool> {
    let given = given(arguments)?;
    let limits = Limits {
        clock_ahead: SignedDuration::from_secs(arguments.clock_ahead.into()),
        operator: arguments.operator.clone(),
        ..Limits::at(arguments.now.unwrap_or_else(now))
    };
    let findings = check(&given, &limits);
    let mut out = io::stdout();
    match arguments.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&findings)?)?,
        Output::Text => {
            for finding in &findings {
                writeln!(out, "{finding}")?;
            }
            let (records, found) = (given.records.len(), findings.len());
            writeln!(out, "{records} records, {found} findings")?;
        }
    }
    Ok(findings.is_empty())
}

fn given(arguments: &Arguments) -> Result<Given> {
    let records = match &arguments.records {
        Some(path) => text(path)?,
        None => {
            let mut piped = String::new();
            io::stdin().read_to_string(&mut piped)?;
            piped
        }
    };
    let (records, grants) = read_list(&records).context("the records")?;
    let secrets = arguments.secrets.as_deref().map(text).transpose()?;
    let before = arguments.before.as_deref().map(text).transpose()?;
    let before = before.map(|text| read_list(&text).context("the earlier records"));
    let shares = arguments.shares.as_deref().map(text).transpose()?;
    let shares = shares.map(|text| serde_json::from_str(&text).context("cannot read the shares"));
    let audit = arguments.audit.as_deref().map(audit).transpose()?;
    Ok(Given {
        records,
        grants: Some(grants).filter(|grants| !grants.is_empty()),
        secrets: secrets.map(|text| read_secrets(&text)).transpose()?,
        shares: shares.transpose()?,
        before: before.transpose()?.map(|(records, _)| records),
        audit,
    })
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn audit(path: &Path) -> Result<AuditLog> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    AuditLog::read(BufReader::new(file))
}

#[allow(
    clippy::disallowed_methods,
    reason = "records of a cluster are read in real time; --now gives another one"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
