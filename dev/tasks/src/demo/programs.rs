//! The programs that the demo runs: the operator, the kubectl plugin, and the simulated 1Password.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::workspace::build;

/// The paths of the programs.
pub struct Programs {
    /// The operator.
    pub keyloan: PathBuf,
    /// The kubectl plugin.
    pub plugin: PathBuf,
    /// The simulated 1Password.
    pub simulator: PathBuf,
    /// The program that compiles the SDK core.
    core: PathBuf,
}

const KEYLOAN: &str = "keyloan";
const PLUGIN: &str = "kubectl-keyloan";
const SIMULATOR: &str = "keyloan-simulator";
const CORE: &str = "keyloan-core";

impl Programs {
    /// The programs in a folder.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let program = |name: &str| {
            let path = folder.join(name);
            ensure!(
                path.is_file(),
                "the program {} does not exist",
                path.display()
            );
            Ok(path)
        };
        Ok(Self {
            keyloan: program(KEYLOAN)?,
            plugin: program(PLUGIN)?,
            simulator: program(SIMULATOR)?,
            core: program(CORE)?,
        })
    }

    /// Builds the programs; cargo shows its progress.
    pub async fn build() -> Result<Self> {
        let [keyloan, plugin, simulator, core] = build([KEYLOAN, PLUGIN, SIMULATOR, CORE]).await?;
        Ok(Self {
            keyloan,
            plugin,
            simulator,
            core,
        })
    }

    /// Runs `kubectl keyloan …` as a person, in their namespace; returns its output.
    pub async fn kubectl_keyloan(&self, kubeconfig: &Path, line: &[&str]) -> Result<String> {
        let mut plugin = Command::new(&self.plugin);
        plugin.args(line).arg("--kubeconfig").arg(kubeconfig);
        plugin.stdin(Stdio::null()).kill_on_drop(true);
        let done = plugin.output().await.context("cannot start the plugin")?;
        ensure!(
            done.status.success(),
            "kubectl keyloan {}: {}",
            line.join(" "),
            String::from_utf8_lossy(&done.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// The compiled SDK core.
    pub async fn compiled_core(&self) -> Result<PathBuf> {
        let mut compile = Command::new(&self.core);
        let done = compile.kill_on_drop(true).output().await;
        let done = done.context("cannot start keyloan-core")?;
        ensure!(
            done.status.success(),
            "keyloan-core: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        );
        let path = String::from_utf8(done.stdout)?;
        Ok(path.trim_end().into())
    }
}
