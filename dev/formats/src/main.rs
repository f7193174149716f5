//! Has Slack's types and Teams' renderer judge the messages of the notifiers: `cargo xtask formats`.
//!
//! The messages are the snapshots of `src/notify/`. Slack's are compiled against `@slack/types`.
//! Teams' are rendered by `adaptivecards` with a markdown parser, which must find nothing to parse.

mod install;
mod snapshots;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use clap::Parser;

/// Checks the messages for Slack against Slack's own types, and renders those for Teams as Teams does.
///
/// The packages are fetched into the cache folder the first time, with npm. The exit code is 1 if a message is not as
/// it should be, and 2 if the check could not be made.
#[derive(Parser)]
#[command(name = "cargo xtask formats", bin_name = "cargo xtask formats")]
struct Arguments {}

fn main() -> ExitCode {
    Arguments::parse();
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cargo xtask formats: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether all messages are as they should be.
fn run() -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let messages = snapshots::messages(&root.join("src/notify/snapshots"))?;
    let folder = install::folder()?;
    let mut node = Command::new("node")
        .arg("check.mjs")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start Node.js: {}", install::NEEDS))?;
    let mut input = node.stdin.take().context("no input")?;
    input.write_all(messages.to_string().as_bytes())?;
    drop(input);
    match node.wait()?.code() {
        Some(0) => Ok(true),
        Some(3) => Ok(false),
        _ => anyhow::bail!("the check itself failed; its output is above"),
    }
}
