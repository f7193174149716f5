//! cargo-deny: the rules for dependencies, and known vulnerabilities.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use super::report::Outcome;
use super::run::run;
use crate::installed::Installed;
use crate::workspace::{self, cargo};

/// The newest version when this was written. It is pinned because a newer one may know more
/// licenses.
const DENY: Installed = Installed::new("cargo-deny", "0.20.2");

/// How long fetching the advisories may take; where the network drops packets silently, it would
/// never end.
const FETCH: Duration = Duration::from_secs(120);

/// Installs the pinned version, unless it is installed. Takes 2 to 4 minutes.
pub async fn install() -> Result<Outcome> {
    DENY.install().await?;
    Ok(Outcome::Passed)
}

/// The checks that need no network once all crates are fetched: licenses, banned crates, sources of
/// crates. deny.toml has the rules.
pub async fn check_policy() -> Result<Outcome> {
    // The check includes the crates of other platforms, which no build has fetched.
    run(cargo("fetch --locked")).await?;
    run(deny(
        "--offline --workspace check --hide-inclusion-graph bans licenses sources",
    )?)
    .await
}

/// Checks for known vulnerabilities. Skipped, with the reason, if their database cannot be reached.
pub async fn check_advisories() -> Result<Outcome> {
    let mut fetch = deny("fetch db")?;
    fetch.stdout(Stdio::null()).stderr(Stdio::piped());
    match tokio::time::timeout(FETCH, fetch.output()).await {
        Err(_) => return Ok(unreachable("it did not answer in time")),
        Ok(fetched) => {
            let fetched = fetched.context("cannot start cargo-deny")?;
            if !fetched.status.success() {
                return Ok(unreachable(&reason(&fetched.stderr)));
            }
        }
    }
    run(deny(
        "--workspace check --disable-fetch --hide-inclusion-graph advisories",
    )?)
    .await
}

fn unreachable(why: &str) -> Outcome {
    Outcome::Skipped(format!(
        "the database of advisories cannot be reached: {why}"
    ))
}

/// The most informative line of cargo-deny's output when a fetch fails.
fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("no reason given").trim().to_owned()
}

fn deny(arguments: &str) -> Result<Command> {
    let mut command = Command::new(DENY.program()?);
    command
        .args(arguments.split(' '))
        .current_dir(workspace::folder())
        .kill_on_drop(true);
    Ok(command)
}
