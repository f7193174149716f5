//! Packages of other languages, installed once into the cache folder: at pinned versions, each file
//! checked against a committed checksum.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::cache::{CacheError, cache_dir, create_dir, failed};

/// Packages: the files that define them, and the program that installs them.
#[derive(Clone, Copy, Debug)]
pub struct Packages<'a> {
    /// Their name in the cache.
    pub name: &'a str,
    /// The files, by their names.
    pub files: &'a [(&'a str, &'a str)],
    /// Prints what an installation depends on besides the files. Empty if there is nothing.
    pub version: &'a [&'a str],
    /// Installs them into the current folder, which has the files.
    pub install: &'a [&'a str],
    /// What to do if a program is missing.
    pub needs: &'a str,
}

/// Why packages are not there.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The cache folder cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A program is missing.
    #[error("cannot start {program}: {source}; {needs}")]
    Start {
        /// The program.
        program: String,
        /// Why it did not start.
        source: io::Error,
        /// What to do.
        needs: String,
    },
    /// A program failed.
    #[error("`{command}` failed ({status}): {why}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it says.
        why: String,
    },
}

/// The folder with the Python packages that a file of requirements lists, for `PYTHONPATH`.
pub fn python_packages(name: &str, requirements: &str) -> Result<PathBuf, PackagesError> {
    let packages = Packages {
        name,
        files: &[("requirements.txt", requirements)],
        version: &[],
        install: &[
            "python3",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            "--require-hashes",
            "--only-binary=:all:",
            "--no-deps",
            "--target=.",
            "--requirement=requirements.txt",
        ],
        needs: "install Python 3.10 or newer with pip",
    };
    packages.folder(&cache_dir()?.join("python"))
}

impl Packages<'_> {
    /// The folder with the files and the packages, below this one. Its name has the checksum of
    /// everything that defines them.
    pub fn folder(&self, cache: &Path) -> Result<PathBuf, PackagesError> {
        let mut digest = Sha256::new();
        for (name, text) in self.files {
            digest.update(format!("{name} {}\n{text}", text.len()));
        }
        digest.update(self.run(self.version, Path::new("."))?);
        let digest = HEXLOWER.encode(&digest.finalize()[..8]);
        let folder = cache.join(format!("{}-{digest}", self.name));
        if !folder.exists() {
            self.install(cache, &folder)?;
        }
        Ok(folder)
    }

    /// Installs into a folder of its own, which gets its name when it is complete.
    fn install(&self, cache: &Path, folder: &Path) -> Result<(), PackagesError> {
        create_dir(cache)?;
        let fresh = tempfile::tempdir_in(cache);
        let fresh = fresh.map_err(|source| failed("make a folder in", cache, source))?;
        for (name, text) in self.files {
            let path = fresh.path().join(name);
            fs::write(&path, text).map_err(|source| failed("write", &path, source))?;
        }
        self.run(self.install, fresh.path())?;
        match fs::rename(fresh.path(), folder) {
            // Another process was faster.
            Err(_) if folder.exists() => Ok(()),
            renamed => Ok(renamed.map_err(|source| failed("write", folder, source))?),
        }
    }

    /// Runs a program, if there is one, and returns what it printed.
    fn run(&self, words: &[&str], folder: &Path) -> Result<Vec<u8>, PackagesError> {
        let Some((program, arguments)) = words.split_first() else {
            return Ok(Vec::new());
        };
        let output = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .output()
            .map_err(|source| PackagesError::Start {
                program: (*program).to_owned(),
                source,
                needs: self.needs.to_owned(),
            })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(PackagesError::Failed {
            command: words.join(" "),
            status: output.status,
            why: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages<'a>(text: &'a [(&'a str, &'a str)], install: &'a [&'a str]) -> Packages<'a> {
        Packages {
            name: "some",
            files: text,
            version: &["echo", "1"],
            install,
            needs: "install it",
        }
    }

    #[test]
    fn packages_are_installed_once_for_what_defines_them() {
        let cache = tempfile::tempdir().unwrap();
        let install = ["cp", "list", "installed"];
        let first = packages(&[("list", "a")], &install).folder(cache.path());
        let first = first.unwrap();
        assert_eq!(fs::read_to_string(first.join("installed")).unwrap(), "a");
        let again = packages(&[("list", "a")], &["false"]).folder(cache.path());
        assert_eq!(again.unwrap(), first);
        let other = packages(&[("list", "b")], &install).folder(cache.path());
        assert_ne!(other.unwrap(), first);
    }

    #[test]
    fn what_cannot_be_installed_is_not_there() {
        let cache = tempfile::tempdir().unwrap();
        let failed = packages(&[("list", "a")], &["ls", "nothing"]).folder(cache.path());
        let error = failed.unwrap_err().to_string();
        assert!(error.starts_with("`ls nothing` failed"), "{error}");
        let missing = packages(&[("list", "a")], &["keyloan-no-such-program"]);
        let error = missing.folder(cache.path()).unwrap_err().to_string();
        assert!(error.ends_with("; install it"), "{error}");
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    }
}
