//! `cargo xtask release --check`: takes the files of a release as people get them, and does with
//! each what can be done on this machine.
//!
//! The programs for macOS and Windows do not run here. Of them, only their format is known: what
//! they load and, for macOS, whether their signature fits.

mod archives;
mod installed;
mod krew;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use keyloan_artifact::{Target, sha256};

use crate::{say, sums};

/// Checks the files in a folder; an error if one is not what it should be.
pub async fn run(folder: &Path, targets: &[Target]) -> Result<()> {
    compare_sums(folder)?;
    let unpacked = tempfile::tempdir()?;
    let mut programs = Vec::new();
    for target in targets {
        let place = unpacked.path().join(target.to_string());
        programs.push((*target, archives::unpack(folder, *target, &place)?));
    }
    installed::run(folder, &programs).await?;
    krew::validate(folder, targets).await
}

/// Compares each file with its checksum. No other file may be there.
fn compare_sums(folder: &Path) -> Result<()> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let sums = String::from_utf8(read(sums::FILE)?)?;
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").context("a line has no file")?;
        ensure!(sha256(&read(name)?) == sum, "{name} has another checksum");
    }
    let files = std::fs::read_dir(folder)?.count();
    ensure!(
        files == sums.lines().count() + 1,
        "not every file has a checksum"
    );
    say(format_args!("{} files have their checksums", files - 1));
    Ok(())
}
