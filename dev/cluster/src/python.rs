//! Python packages, installed once into the cache folder: at pinned versions, each file checked
//! against a committed checksum.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::cache::{CacheError, cache_dir};

/// Why packages are not there.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// The cache folder cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file cannot be written, or Python is missing.
    #[error("cannot install Python packages: {0}; is Python 3.10 or newer there, with pip?")]
    Run(#[from] io::Error),
    /// pip failed.
    #[error("pip could not install {what}: {why}")]
    Pip {
        /// The name of the packages.
        what: &'static str,
        /// What pip says.
        why: String,
    },
}

/// The folder with the packages that a file of requirements lists, for `PYTHONPATH`.
pub(crate) fn packages(what: &'static str, requirements: &str) -> Result<PathBuf, PythonError> {
    let cache = cache_dir()?.join("python");
    let digest = HEXLOWER.encode(&Sha256::digest(requirements)[..8]);
    let folder = cache.join(format!("{what}-{digest}"));
    if !folder.exists() {
        install(what, requirements, &cache, &folder)?;
    }
    Ok(folder)
}

/// Installs into a folder of its own, which gets its name when it is complete.
fn install(
    what: &'static str,
    requirements: &str,
    cache: &Path,
    folder: &Path,
) -> Result<(), PythonError> {
    fs::create_dir_all(cache)?;
    let fresh = tempfile::tempdir_in(cache)?;
    let list = fresh.path().join("requirements.txt");
    fs::write(&list, requirements)?;
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-compile"])
        .args(["--require-hashes", "--only-binary=:all:", "--no-deps"])
        .arg("--target")
        .arg(fresh.path())
        .arg("--requirement")
        .arg(&list)
        .output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(PythonError::Pip { what, why });
    }
    match fs::rename(fresh.path(), folder) {
        // Another process was faster.
        Err(_) if folder.exists() => Ok(()),
        renamed => Ok(renamed?),
    }
}
