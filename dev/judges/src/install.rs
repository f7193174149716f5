//! The official clients, installed once into the cache folder: at pinned versions, each file checked
//! against a committed checksum.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

/// A client: the files that define it, and the programs that install and run it.
pub struct Client {
    /// Its name in the cache.
    pub name: &'static str,
    /// Files of this package, by their names.
    files: &'static [(&'static str, &'static str)],
    /// The program that runs it.
    program: &'static str,
    /// What to do if the program is missing.
    needs: &'static str,
    /// Prints what an installation depends on besides the files.
    version: &'static [&'static str],
    /// Installs it into the current folder.
    install: &'static [&'static str],
    /// The script, among the files.
    script: &'static str,
}

/// The JavaScript client.
pub const NODE: Client = Client {
    name: "node",
    files: &[
        ("package.json", include_str!("../node/package.json")),
        (
            "package-lock.json",
            include_str!("../node/package-lock.json"),
        ),
        ("judge.mjs", include_str!("../node/judge.mjs")),
    ],
    program: "node",
    needs: "install Node.js 18 or newer with npm",
    version: &["node", "--version"],
    install: &["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
    script: "judge.mjs",
};

/// The Python client.
pub const PYTHON: Client = Client {
    name: "python",
    files: &[
        (
            "requirements.txt",
            include_str!("../python/requirements.txt"),
        ),
        ("judge.py", include_str!("../python/judge.py")),
    ],
    program: "python3",
    needs: "install Python 3.9 or newer with pip",
    version: &["python3", "-VV"],
    install: &[
        "python3",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "--only-binary=:all:",
        "--target=packages",
        "--requirement=requirements.txt",
    ],
    script: "judge.py",
};

impl Client {
    /// The command that runs the client; installs it unless it is in `cache`.
    pub async fn command(&self, cache: &Path) -> Result<Command> {
        let folder = self.folder(cache).await?;
        let mut command = Command::new(self.program);
        command
            .arg(self.script)
            .env("PYTHONPATH", folder.join("packages"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(folder);
        Ok(command)
    }

    /// The folder of this very client: its name has the checksum of everything that defines it.
    async fn folder(&self, cache: &Path) -> Result<PathBuf> {
        let mut digest = Sha256::new();
        for (name, text) in self.files {
            digest.update(format!("{name} {}\n{text}", text.len()));
        }
        digest.update(self.run(self.version, Path::new(".")).await?);
        let digest = HEXLOWER.encode(&digest.finalize()[..8]);
        let folder = cache.join(format!("{}-{digest}", self.name));
        if !folder.exists() {
            self.install(cache, &folder).await?;
        }
        Ok(folder)
    }

    /// Installs into a folder of its own, which gets its name when it is complete.
    async fn install(&self, cache: &Path, folder: &Path) -> Result<()> {
        fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let fresh = tempfile::tempdir_in(cache)
            .with_context(|| format!("cannot make a folder in {}", cache.display()))?;
        for (name, text) in self.files {
            let path = fresh.path().join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.run(self.install, fresh.path()).await?;
        match fs::rename(fresh.path(), folder) {
            // Another process was faster.
            Err(_) if folder.exists() => Ok(()),
            renamed => renamed.with_context(|| format!("cannot write {}", folder.display())),
        }
    }

    /// Runs a program, and returns what it printed.
    async fn run(&self, words: &[&str], folder: &Path) -> Result<Vec<u8>> {
        let (program, arguments) = words.split_first().context("no program")?;
        let output = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .output()
            .await
            .with_context(|| format!("cannot start {program}: {}", self.needs))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let shown = words.join(" ");
        ensure!(
            output.status.success(),
            "`{shown}` failed ({}): {}",
            output.status,
            errors.trim()
        );
        Ok(output.stdout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_has_a_checksum_and_comes_from_no_named_host() {
        let text = |client: &Client, name: &str| {
            let mut files = client.files.iter();
            files.find(|(file, _)| *file == name).unwrap().1
        };
        let lock = text(&NODE, "package-lock.json");
        assert_eq!(lock.matches("\"node_modules/").count(), 2);
        assert_eq!(lock.matches("\"integrity\": \"sha512-").count(), 2);
        let wanted = text(&PYTHON, "requirements.txt");
        for requirement in wanted
            .split("\n\n")
            .flat_map(|text| text.split("==").skip(1))
        {
            assert!(requirement.contains("--hash=sha256:"), "{requirement}");
        }
        for text in [lock, wanted] {
            assert!(!text.contains("://") && !text.contains("resolved"));
        }
    }
}
