//! The checkout that artifacts are made of: its version, its commit, and the time that they bear.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use jiff::Timestamp;

/// The version of all programs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The time that everything bears: that of `SOURCE_DATE_EPOCH`, else that of the commit.
pub fn time() -> Result<Timestamp> {
    let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds,
        Err(_) => git(&["log", "-1", "--format=%ct"]).context(
            "SOURCE_DATE_EPOCH is not set, and git does not know the time of this commit: set it to the seconds since 1970 that the files are to bear",
        )?,
    };
    let seconds = seconds.trim().parse();
    let seconds = seconds.context("SOURCE_DATE_EPOCH is not a number of seconds")?;
    Ok(Timestamp::from_second(seconds)?)
}

/// The commit, if git knows it; one with changes that are not committed says so.
pub fn revision() -> Option<String> {
    let commit = git(&["rev-parse", "HEAD"])?;
    let changes = git(&["status", "--porcelain"])?;
    let dirty = if changes.is_empty() { "" } else { "-dirty" };
    Some(format!("{commit}{dirty}"))
}

fn git(arguments: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .args(arguments)
        .current_dir(workspace())
        .output()
        .ok()?;
    let said = String::from_utf8(done.stdout).ok()?;
    done.status.success().then(|| said.trim().to_owned())
}
