//! The plugin's archives: the program, the scripts by which shells complete it, and the licenses of
//! everything in it.

use std::path::Path;

use anyhow::{Context, Result};
use keyloan_artifact::{File, Files, Os, PLUGIN, Target, VERSION, Zig, notices, tar_gz, time, zip};
use tokio::process::Command;

/// The names of the completion scripts, as kubectl and the shells look for them, and the plugin's
/// name for each.
const COMPLETIONS: [(&str, &str); 6] = [
    ("_kubectl-keyloan", "zsh"),
    ("kubectl-keyloan.bash", "bash"),
    ("kubectl-keyloan.elv", "elvish"),
    ("kubectl-keyloan.fish", "fish"),
    ("kubectl-keyloan.ps1", "powershell"),
    (FOR_KUBECTL, "kubectl"),
];
/// The script that kubectl runs.
const FOR_KUBECTL: &str = "kubectl_complete-keyloan";

/// The name of the archive for a target.
pub fn file_name(target: Target) -> String {
    let (os, arch) = (target.os().name(), target.arch());
    let ending = match target.os() {
        Os::Windows => "zip",
        Os::Linux | Os::Darwin => "tar.gz",
    };
    format!("{}-{VERSION}-{os}-{arch}.{ending}", PLUGIN.name)
}

/// The name of the program in the archive.
pub fn program_name(target: Target) -> String {
    let ending = if target.os() == Os::Windows {
        ".exe"
    } else {
        ""
    };
    format!("{}{ending}", PLUGIN.name)
}

/// The archive for a target.
pub async fn archive(target: Target, zig: &Zig) -> Result<Vec<u8>> {
    let files = files(target, zig).await?;
    match target.os() {
        Os::Windows => zip(&files, time()?),
        Os::Linux | Os::Darwin => Ok(tar_gz(&files, time()?)?.bytes),
    }
}

async fn files(target: Target, zig: &Zig) -> Result<Files> {
    let program = PLUGIN.build(target, zig).await?;
    let program = read(&program)?;
    let mut files = Files::from([(program_name(target), File::program(program))]);
    for (name, text) in notices(&PLUGIN, target, zig).await? {
        // krew and people look for Keyloan's own license beside the program.
        let path = match name {
            "LICENSE" => name.to_owned(),
            _ => format!("licenses/{name}"),
        };
        files.insert(path, File::data(text));
    }
    for (name, shell) in COMPLETIONS {
        let mut file = File::data(completion(shell).await?);
        file.is_program = name == FOR_KUBECTL;
        files.insert(format!("completions/{name}"), file);
    }
    Ok(files)
}

/// The completion script for a shell: the plugin of this build, which is for this machine, prints
/// it.
async fn completion(shell: &str) -> Result<Vec<u8>> {
    let plugin = std::env::current_exe()?.with_file_name(PLUGIN.name);
    let output = Command::new(&plugin)
        .args(["completion", shell])
        .output()
        .await
        .with_context(|| format!("cannot start {}", plugin.display()))?;
    anyhow::ensure!(
        output.status.success(),
        "{} completion {shell} failed: {}",
        plugin.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
