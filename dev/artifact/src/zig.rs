//! The C compiler and linker: zig, which contains a C library for each platform, and
//! cargo-zigbuild, which has cargo use it.
//!
//! Both come from PyPI at pinned versions, each file checked against a committed checksum, once,
//! into the cache folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

const REQUIREMENTS: &str = include_str!("../zig/requirements.txt");

/// The installed programs.
pub struct Zig {
    packages: PathBuf,
    cache: PathBuf,
}

impl Zig {
    /// Installs the programs, unless they are in the cache folder. Needs Python with pip.
    pub async fn find() -> Result<Self> {
        let cache = keyloan_cluster::cache_dir()?.join("zig");
        let digest = HEXLOWER.encode(&Sha256::digest(REQUIREMENTS)[..8]);
        let packages = cache.join(digest);
        if !packages.exists() {
            install(&cache, &packages).await?;
        }
        Ok(Self { packages, cache })
    }

    /// A file of zig.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.packages.join("ziglang").join(path)
    }

    /// `cargo zigbuild`, without arguments.
    pub(crate) fn cargo_build(&self) -> Command {
        let mut command = Command::new(self.packages.join("bin/cargo-zigbuild"));
        command
            .arg("zigbuild")
            .env(
                "CARGO_ZIGBUILD_ZIG_PATH",
                self.packages.join("ziglang").join("zig"),
            )
            .env("CARGO_ZIGBUILD_CACHE_DIR", self.cache.join("wrappers"))
            .env("ZIG_GLOBAL_CACHE_DIR", self.cache.join("libraries"))
            .kill_on_drop(true);
        command
    }
}

/// The version of zig.
pub(crate) fn version() -> Result<&'static str> {
    let (_, version) = REQUIREMENTS.split_once("ziglang==").unwrap_or_default();
    let version = version.split_whitespace().next();
    version.context("the requirements do not name zig")
}

/// Installs into a folder of its own, which gets its name when it is complete.
async fn install(cache: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let fresh = tempfile::tempdir_in(cache)
        .with_context(|| format!("cannot make a folder in {}", cache.display()))?;
    let requirements = fresh.path().join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-compile"])
        .args(["--require-hashes", "--only-binary=:all:", "--no-deps"])
        .arg("--target")
        .arg(fresh.path())
        .arg("--requirement")
        .arg(&requirements)
        .output()
        .await
        .context("cannot start python3: install Python 3.9 or newer with pip")?;
    ensure!(
        output.status.success(),
        "pip could not install zig and cargo-zigbuild ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
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
        let requirements: Vec<&str> = REQUIREMENTS.split("==").skip(1).collect();
        assert_eq!(requirements.len(), 2);
        for requirement in requirements {
            assert!(requirement.contains("--hash=sha256:"), "{requirement}");
        }
        assert!(!REQUIREMENTS.contains("://"));
    }
}
