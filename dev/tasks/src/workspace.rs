//! The workspace that the commands work on, and cargo commands on it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

/// The workspace's folder.
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A cargo command on the workspace; spaces separate its arguments.
pub fn cargo(arguments: &str) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(arguments.split(' '))
        .current_dir(folder())
        .kill_on_drop(true);
    command
}

/// Builds programs of the workspace and returns their paths; cargo shows its progress.
pub async fn build<const N: usize>(names: [&str; N]) -> Result<[PathBuf; N]> {
    // Uses the features of the whole workspace, so that the dependencies are those that other
    // builds have already compiled.
    run_build(cargo("build --workspace"), names).await
}

/// Runs a program in place of this one: its result is that of the command.
pub async fn run_to_its_end(program: &Path, arguments: &[String]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    let ended = command.status().await;
    let ended = ended.with_context(|| format!("cannot start {}", shown(&command)))?;
    match ended.code() {
        Some(0) => Ok(()),
        code => std::process::exit(code.unwrap_or(1)),
    }
}

/// Builds the operator as in its image, optimized.
pub async fn build_for_image() -> Result<()> {
    let build = cargo(
        "build --locked --release --package keyloan --no-default-features --features operator",
    );
    let [_operator] = run_build(build, ["keyloan"]).await?;
    Ok(())
}

async fn run_build<const N: usize>(mut build: Command, names: [&str; N]) -> Result<[PathBuf; N]> {
    build.args(["--message-format", "json-render-diagnostics"]);
    for name in names {
        build.args(["--bin", name]);
    }
    let built = build.stderr(Stdio::inherit()).output().await;
    let built = built.with_context(|| format!("cannot start {}", shown(&build)))?;
    ensure!(
        built.status.success(),
        "{} ended with {}",
        shown(&build),
        built.status
    );
    let text = String::from_utf8_lossy(&built.stdout);
    let executables: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .collect();
    let mut paths = names.map(|_| PathBuf::new());
    for (name, path) in names.into_iter().zip(&mut paths) {
        let found = executables
            .iter()
            .find(|path| path.file_stem().is_some_and(|stem| stem == name));
        *path = found
            .cloned()
            .with_context(|| format!("cargo did not report the path of {name}"))?;
    }
    Ok(paths)
}

/// A line of cargo's JSON output about a build.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// A command as a person would type it.
pub fn shown(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}
