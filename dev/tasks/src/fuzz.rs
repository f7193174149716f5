//! `cargo xtask fuzz`: runs the fuzz targets of `fuzz/` one after the other, and says what each has
//! tried and found.
//!
//! cargo-fuzz is installed once into the cache folder. The targets are built with the pinned
//! toolchain, with libFuzzer's instrumentation and without a sanitizer: the code has no `unsafe` that
//! takes input, and the checks of a debug build are on.

mod progress;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::installed::Installed;
use crate::screen::{line, took};
use crate::workspace::{self, shown};

use progress::Progress;

/// The newest version when this was written.
const CARGO_FUZZ: Installed = Installed::new("cargo-fuzz", "0.13.2");

/// The largest input, in bytes: a scene with all kinds of objects has some 6,000.
const LONGEST: u32 = 32 * 1024;

/// How long one input may take, in seconds, before it counts as found.
const SLOWEST: u32 = 20;

/// The time between two lines about the progress.
const INTERVAL: Duration = Duration::from_secs(30);

/// Options of the command.
#[derive(clap::Args)]
pub struct Arguments {
    /// How long to run each target
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// The targets, by their names in fuzz/fuzz_targets; by default all
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// A target's result.
struct Row {
    target: String,
    time: Duration,
    progress: Progress,
    /// The file with the input, if there is one that fails.
    found: Option<PathBuf>,
}

/// Runs the targets; fails if any has found something.
pub async fn run(Arguments { minutes, targets }: Arguments) -> Result<()> {
    let known = known_targets()?;
    let targets = if targets.is_empty() {
        known.clone()
    } else {
        targets
    };
    if let Some(unknown) = targets.iter().find(|target| !known.contains(target)) {
        bail!(
            "there is no target {unknown}; the targets are {}",
            known.join(", ")
        );
    }
    CARGO_FUZZ.install().await?;
    build().await?;
    let mut rows = Vec::new();
    for target in targets {
        rows.push(fuzz(target, Duration::from_secs(60 * minutes)).await?);
    }
    line(format_args!("\n{}", table(&rows)));
    let found: Vec<_> = rows.iter().filter_map(|row| row.found.as_ref()).collect();
    for path in &found {
        line(format_args!("This input fails: {}", path.display()));
    }
    ensure!(
        found.is_empty(),
        "{} of {} targets found an input that fails: run its target again with it, mend the cause, and make a test of it",
        found.len(),
        rows.len()
    );
    Ok(())
}

fn known_targets() -> Result<Vec<String>> {
    let folder = folder().join("fuzz_targets");
    let entries = fs::read_dir(&folder);
    let entries = entries.with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let names = paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

async fn build() -> Result<()> {
    succeed(cargo_fuzz("build")?).await
}

async fn succeed(mut command: Command) -> Result<()> {
    let status = command.status().await;
    let status = status.with_context(|| format!("cannot start {}", shown(&command)))?;
    ensure!(status.success(), "{} failed ({status})", shown(&command));
    Ok(())
}

/// Runs one target. What it learns stays in `fuzz/corpus`, which is not committed.
async fn fuzz(target: String, time: Duration) -> Result<Row> {
    line(format_args!("\n== {target}, {}", took(time)));
    let corpus = folder().join("corpus").join(&target);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    let mut command = cargo_fuzz("run")?;
    command
        .arg(&target)
        .arg(&corpus)
        .arg(folder().join("seeds").join(&target))
        .arg("--")
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-max_len={LONGEST}"))
        .arg(format!("-timeout={SLOWEST}"))
        .arg("-print_final_stats=1")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let started = Instant::now();
    let mut process = command
        .spawn()
        .with_context(|| format!("cannot start {}", shown(&command)))?;
    let output = process.stderr.take().context("no output")?;
    let (mut lines, mut progress) = (BufReader::new(output).lines(), Progress::default());
    let mut last = Instant::now();
    while let Some(text) = lines.next_line().await? {
        progress.read(&text);
        if progress.has_failed() {
            line(&text);
        } else if last.elapsed() >= INTERVAL {
            last = Instant::now();
            line(format_args!(
                "{} of {}: {progress}",
                took(started.elapsed()),
                took(time)
            ));
        }
    }
    let status = process.wait().await?;
    let found = progress.found().map(|path| Path::new(path).to_owned());
    ensure!(
        status.success() || found.is_some(),
        "{target} ended with {status}; see the output above"
    );
    Ok(Row {
        target,
        time: started.elapsed(),
        progress,
        found,
    })
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<10}  {:>12}  {:>12}  {:>8}  {:>8}  found",
        "target", "time", "inputs", "per s", "edges"
    );
    for row in rows {
        let Progress { inputs, edges, .. } = row.progress;
        let rate = inputs / row.time.as_secs().max(1);
        let found = if row.found.is_some() {
            "yes"
        } else {
            "nothing"
        };
        let (target, time) = (&row.target, took(row.time));
        text +=
            &format!("\n{target:<10}  {time:>12}  {inputs:>12}  {rate:>8}  {edges:>8}  {found}");
    }
    text
}

fn cargo_fuzz(command: &str) -> Result<Command> {
    let mut fuzz = Command::new(CARGO_FUZZ.program()?);
    fuzz.arg(command)
        .args(["--sanitizer", "none", "--fuzz-dir"])
        .arg(folder())
        .current_dir(folder());
    Ok(fuzz)
}

fn folder() -> PathBuf {
    workspace::folder().join("fuzz")
}
