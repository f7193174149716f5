//! The C compiler and linker: zig, which contains a C library for each platform, and
//! cargo-zigbuild, which has cargo use it.
//!
//! Both come from PyPI.

use std::path::PathBuf;

use anyhow::{Context, Result};
use keyloan_cluster::{cache_dir, python_packages};
use tokio::process::Command;

const REQUIREMENTS: &str = include_str!("../zig/requirements.txt");

/// The installed programs.
pub struct Zig {
    packages: PathBuf,
    cache: PathBuf,
}

impl Zig {
    /// Installs the programs, unless they are in the cache folder. Needs Python with pip.
    pub fn find() -> Result<Self> {
        Ok(Self {
            packages: python_packages("zig", REQUIREMENTS)?,
            cache: cache_dir()?.join("zig"),
        })
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
