//! Unpacks the plugin's archives with the tools that people use, and looks at what is in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use keyloan_artifact::{Os, Target, ensure_portable, libraries};

use crate::plugin::{file_name, program_name};
use crate::{say, size};

/// Unpacks the archive for a target into a new folder, and returns the path of the program.
pub fn unpack(release: &Path, target: Target, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let archive = release.join(file_name(target));
    let mut tool = match target.os() {
        // Python is there, because it installs the compiler.
        Os::Windows => {
            let mut tool = Command::new("python3");
            tool.args(["-m", "zipfile", "--extract"]).arg(&archive);
            tool.arg(folder);
            tool
        }
        Os::Linux | Os::Darwin => {
            let mut tool = Command::new("tar");
            tool.arg("--extract").arg("--file").arg(&archive);
            tool.arg("--directory").arg(folder);
            tool
        }
    };
    let unpacked = tool.status();
    let unpacked = unpacked.with_context(|| format!("cannot start {tool:?}"))?;
    let name = archive.display();
    ensure!(unpacked.success(), "{name} was not unpacked: {unpacked}");
    let program = folder.join(program_name(target));
    let content = fs::read(&program).with_context(|| format!("{name} has no program"))?;
    ensure_portable(&content, target).with_context(|| format!("the program in {name}"))?;
    for file in [
        "LICENSE",
        "licenses/crates.txt",
        "licenses/rust-library.html",
    ] {
        let path = folder.join(file);
        let is_text = fs::metadata(&path).is_ok_and(|about| about.len() > 0);
        ensure!(is_text, "{name} has no {file}");
    }
    let mut loads = libraries(&content, target)?;
    loads.sort();
    let loads = match &loads[..] {
        [] => "no library".to_owned(),
        loads => loads.join(", "),
    };
    let program = size(content.len());
    say(format_args!(
        "{target}: the program has {program} and loads {loads}"
    ));
    Ok(folder.join(program_name(target)))
}
