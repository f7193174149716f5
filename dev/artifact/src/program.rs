//! The project's programs, each built by cargo for a machine that has neither Rust nor the libraries
//! of this one.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::commit::workspace;
use crate::executable::ensure_portable;
use crate::target::{Os, Target};
use crate::zig::Zig;

/// A program, and the feature of the crate `keyloan` that it needs.
pub struct Program {
    /// The name of its file.
    pub name: &'static str,
    feature: &'static str,
}

/// The names in macOS's own libraries that the linker needs. It runs in the workspace's folder; in
/// the program, an absolute path would make a difference.
const FRAMEWORKS: &str = "dev/artifact/frameworks";

/// The operator.
pub const OPERATOR: Program = Program {
    name: "keyloan",
    feature: "operator",
};
/// `kubectl keyloan`.
pub const PLUGIN: Program = Program {
    name: "kubectl-keyloan",
    feature: "plugin",
};

impl Program {
    /// Cargo's arguments for the package with the program's features only.
    pub(crate) fn features(&self) -> [&'static str; 4] {
        [
            "--package=keyloan",
            "--no-default-features",
            "--features",
            self.feature,
        ]
    }

    /// Builds the program for a target, and returns its path; cargo shows its progress.
    pub async fn build(&self, target: Target, zig: &Zig) -> Result<PathBuf> {
        add_library(target.rust()).await?;
        let mut build = zig.cargo_build();
        build
            .args(self.arguments())
            .args(["--target", target.rust()]);
        // The same program, in whatever folder it is built.
        let mut flags = remapped_paths()?;
        match target.os() {
            // The debug information is a third of the program, and nobody reads it.
            Os::Linux => {
                build.env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
            }
            Os::Windows => {
                build.env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
                // The crate contains its assembler code as objects, too. Without them, the build
                // needs the assembler nasm.
                build.env("AWS_LC_SYS_PREBUILT_NASM", "1");
            }
            // The linker signs the program. A tool that removes symbols afterwards would break the
            // signature, and Apple's processors run no program without one that fits.
            Os::Darwin => {
                build.env("CARGO_PROFILE_RELEASE_DEBUG", "none");
                build.env("CARGO_PROFILE_RELEASE_STRIP", "none");
                flags.push(format!("-Clink-arg=-F{FRAMEWORKS}"));
            }
        }
        build.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        let program = self.run(build).await?;
        let bytes = std::fs::read(&program)
            .with_context(|| format!("cannot read {}", program.display()))?;
        ensure_portable(&bytes, target)
            .with_context(|| format!("{} cannot be shipped", program.display()))?;
        Ok(program)
    }

    /// Builds the program for this machine, linked to its C library.
    pub async fn build_here(&self) -> Result<PathBuf> {
        let mut build = Command::new("cargo");
        build.arg("build").args(self.arguments()).kill_on_drop(true);
        self.run(build).await
    }

    /// The same as in the benchmark.
    fn arguments(&self) -> Vec<&'static str> {
        let mut arguments = vec!["--locked", "--release", "--bin", self.name];
        arguments.extend(["--message-format", "json-render-diagnostics"]);
        arguments.extend(self.features());
        arguments
    }

    async fn run(&self, mut build: Command) -> Result<PathBuf> {
        build.current_dir(workspace()).stderr(Stdio::inherit());
        let built = build.output().await.context("cannot start cargo")?;
        let name = self.name;
        ensure!(
            built.status.success(),
            "{name} was not built: cargo ended with {}",
            built.status
        );
        let text = String::from_utf8_lossy(&built.stdout);
        let mut executables = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable);
        executables
            .next_back()
            .with_context(|| format!("cargo did not report the path of {name}"))
    }
}

/// A line of cargo's JSON output about a build.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Installs Rust's own library for a target, unless it is installed.
async fn add_library(target: &str) -> Result<()> {
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

/// What a command prints.
pub(crate) async fn output(command: &mut Command) -> Result<String> {
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
