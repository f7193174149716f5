//! The operator as one static program: built by cargo for a C library that is linked into it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use serde::Deserialize;
use tokio::process::Command;

use crate::platform::Platform;
use crate::zig::Zig;

/// The package, its features and its program: the same as in the benchmark.
const OPERATOR: [&str; 8] = [
    "--locked",
    "--release",
    "--package=keyloan",
    "--no-default-features",
    "--features=operator",
    "--bin=keyloan",
    "--message-format",
    "json-render-diagnostics",
];

/// Builds the operator for a platform, and returns its path; cargo shows its progress.
pub async fn build_static(platform: Platform, zig: &Zig) -> Result<PathBuf> {
    add_target(platform.rust_target()).await?;
    let mut build = zig.cargo_build();
    build
        .args(OPERATOR)
        .args(["--target", platform.rust_target()]);
    // The debug information is a third of the program, and nothing in the image reads it.
    build.env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    // The same program, in whatever folder it is built.
    build.env("CARGO_ENCODED_RUSTFLAGS", remapped_paths()?.join("\x1f"));
    let program = run(build).await?;
    check_static(&program, platform)?;
    Ok(program)
}

/// Builds the operator for this machine, linked to its C library.
pub async fn build_here() -> Result<PathBuf> {
    let mut build = Command::new("cargo");
    build.arg("build").args(OPERATOR).kill_on_drop(true);
    run(build).await
}

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Installs Rust's own library for a target, unless it is installed.
async fn add_target(target: &str) -> Result<()> {
    let libraries = output(
        Command::new("rustc")
            .args(["--print", "target-libdir", "--target", target])
            .current_dir(workspace()),
    )
    .await?;
    if Path::new(&libraries).is_dir() {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", target]).current_dir(workspace());
    output(&mut add).await.with_context(|| {
        format!("Rust's library for {target} is missing, and rustup cannot add it")
    })?;
    Ok(())
}

/// Flags that replace the folders of this machine in the program.
fn remapped_paths() -> Result<Vec<String>> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let workspace = workspace().canonicalize()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folders = [
        (Some(cargo_home), "/cargo"),
        (Some(workspace), "/keyloan"),
        (target, "/keyloan/target"),
    ];
    let flags = folders.into_iter().filter_map(|(folder, name)| {
        Some(format!("--remap-path-prefix={}={name}", folder?.display()))
    });
    Ok(flags.collect())
}

async fn run(mut build: Command) -> Result<PathBuf> {
    build.current_dir(workspace()).stderr(Stdio::inherit());
    let built = build.output().await.context("cannot start cargo")?;
    ensure!(
        built.status.success(),
        "the operator was not built: cargo ended with {}",
        built.status
    );
    let text = String::from_utf8_lossy(&built.stdout);
    let mut executables = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable);
    executables
        .next_back()
        .context("cargo did not report the path of the operator")
}

/// A line of cargo's JSON output about a build.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// What a command prints.
pub async fn output(command: &mut Command) -> Result<String> {
    let name = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let done = command
        .output()
        .await
        .with_context(|| format!("cannot start {name}"))?;
    ensure!(
        done.status.success(),
        "{name} ended with {}: {}",
        done.status,
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// Checks that a program is for this platform, and that no other file is needed to run it.
fn check_static(path: &Path, platform: Platform) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    is_static(&bytes, platform)
        .with_context(|| format!("{} cannot go into an image", path.display()))
}

fn is_static(program: &[u8], platform: Platform) -> Result<()> {
    let header = FileHeader64::<Endianness>::parse(program).context("it is not an ELF program")?;
    let endian = header.endian()?;
    let machine = match platform {
        Platform::Amd64 => EM_X86_64,
        Platform::Arm64 => EM_AARCH64,
    };
    ensure!(
        header.e_machine(endian) == machine,
        "it is not a program for {}",
        platform.name()
    );
    let mut segments = header.program_headers(endian, program)?.iter();
    ensure!(
        !segments.any(|segment| segment.p_type(endian) == PT_INTERP),
        "it needs a loader and libraries, which the image does not have"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_a_loader_is_refused() {
        // This test's own program is linked to the C library.
        let path = std::env::current_exe().unwrap();
        let error = check_static(&path, Platform::HERE).unwrap_err();
        assert!(format!("{error:#}").contains("loader"), "{error:#}");
    }

    #[test]
    fn a_program_for_another_platform_is_refused() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let other = match Platform::HERE {
            Platform::Amd64 => Platform::Arm64,
            Platform::Arm64 => Platform::Amd64,
        };
        let error = is_static(&program, other).unwrap_err().to_string();
        assert!(error.contains(other.name()), "{error}");
    }
}
