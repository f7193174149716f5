//! The official clients, and the programs that run them.

use std::path::Path;

use anyhow::Result;
use keyloan_cluster::Packages;
use tokio::process::Command;

/// A client.
pub struct Client {
    /// Its packages, and the files that use them.
    pub packages: Packages<'static>,
    /// The program that runs it.
    program: &'static str,
    /// The script, among the files.
    script: &'static str,
}

/// The JavaScript client.
pub const NODE: Client = Client {
    packages: Packages {
        name: "node",
        files: &[
            ("package.json", include_str!("../node/package.json")),
            (
                "package-lock.json",
                include_str!("../node/package-lock.json"),
            ),
            ("judge.mjs", include_str!("../node/judge.mjs")),
        ],
        needs: "install Node.js 18 or newer with npm",
        version: &["node", "--version"],
        install: &["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
    },
    program: "node",
    script: "judge.mjs",
};

/// The Python client.
pub const PYTHON: Client = Client {
    packages: Packages {
        name: "python",
        files: &[
            (
                "requirements.txt",
                include_str!("../python/requirements.txt"),
            ),
            ("judge.py", include_str!("../python/judge.py")),
        ],
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
    },
    program: "python3",
    script: "judge.py",
};

impl Client {
    /// The command that runs the client; installs it unless it is in `cache`.
    pub fn command(&self, cache: &Path) -> Result<Command> {
        let folder = self.packages.folder(cache)?;
        let mut command = Command::new(self.program);
        command
            .arg(self.script)
            .env("PYTHONPATH", folder.join("packages"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(folder);
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_has_a_checksum_and_comes_from_no_named_host() {
        let text = |client: &Client, name: &str| {
            let mut files = client.packages.files.iter();
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
