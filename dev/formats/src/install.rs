//! The packages that judge, installed once into the cache folder: at pinned versions, each file
//! checked against a committed checksum.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// What to do if a program is missing.
pub const NEEDS: &str = "cannot start Node.js: install Node.js 20 or newer with npm";

const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("../node/package.json")),
    (
        "package-lock.json",
        include_str!("../node/package-lock.json"),
    ),
    ("check.mjs", include_str!("../node/check.mjs")),
];

/// The folder with the check and its packages: its name has the checksum of what defines it.
pub fn folder(cache: &Path) -> Result<PathBuf> {
    let mut digest = Sha256::new();
    for (name, text) in FILES {
        digest.update(format!("{name} {}\n{text}", text.len()));
    }
    let folder = cache.join(HEXLOWER.encode(&digest.finalize()[..8]));
    if !folder.exists() {
        install(cache, &folder)?;
    }
    Ok(folder)
}

/// Installs into a folder of its own, which gets its name when it is complete.
fn install(cache: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let fresh = tempfile::tempdir_in(cache)
        .with_context(|| format!("cannot make a folder in {}", cache.display()))?;
    for (name, text) in FILES {
        let path = fresh.path().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(fresh.path())
        .output()
        .context(NEEDS)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "npm failed ({}): {}",
        output.status,
        errors.trim()
    );
    match fs::rename(fresh.path(), folder) {
        // Another process was faster.
        Err(_) if folder.exists() => Ok(()),
        renamed => renamed.with_context(|| format!("cannot write {}", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_has_a_checksum_and_comes_from_no_named_host() {
        let [_, (_, lock), _] = FILES;
        let packages = lock.matches("\"node_modules/").count();
        assert!(packages >= 4);
        assert_eq!(lock.matches("\"integrity\": \"sha512-").count(), packages);
        assert!(!lock.contains("resolved"));
    }
}
