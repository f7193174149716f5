//! Programs from crates.io in a pinned version. Each is installed once into the cache folder, beside
//! the project's other downloads, not among the user's programs.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::workspace::{cargo, shown};

/// A crate with a program of the same name.
pub struct Installed {
    name: &'static str,
    version: &'static str,
}

impl Installed {
    /// A program in this version.
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version }
    }

    /// The path of the program, whether it is installed or not.
    pub fn program(&self) -> Result<PathBuf> {
        Ok(self.root()?.join("bin").join(self.name))
    }

    /// Installs the program, unless it is installed. Takes some minutes.
    pub async fn install(&self) -> Result<()> {
        if self.program()?.exists() {
            return Ok(());
        }
        let mut install = cargo("install --locked --root");
        install
            .arg(self.root()?)
            .arg(format!("{}@{}", self.name, self.version));
        let status = install.status().await;
        let status = status.with_context(|| format!("cannot start {}", shown(&install)))?;
        ensure!(status.success(), "{} failed ({status})", shown(&install));
        Ok(())
    }

    fn root(&self) -> Result<PathBuf> {
        Ok(keyloan_cluster::cache_dir()?
            .join(self.name)
            .join(self.version))
    }
}
