//! The processes under test: started, asked for their memory, stopped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

/// A process that was asked to stop is killed after this time.
const PATIENCE: Duration = Duration::from_secs(15);
/// So much of a log is shown when its process ends by itself.
const LAST_LINES: usize = 20;

/// A process whose standard error goes to a file.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// What a process has in memory, in megabytes (10^6 bytes).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// All that is resident: `VmRSS`.
    pub resident: f64,
    /// What of it is the process's own and backed by no file: `RssAnon`.
    pub anonymous: f64,
}

impl Process {
    /// Starts a process; standard output goes where the command says.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let output =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
        })
    }

    /// The process itself, for what is piped.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Fails, with the end of its log, if the process has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(
                "{} has ended ({status}); its last words:\n{}",
                self.name,
                self.last_words()
            ),
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// What it has in memory now.
    pub fn memory(&self) -> Result<Memory> {
        let id = self.child.id().context("the process has ended")?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))
            .context("cannot read /proc: the memory of a process is measured on Linux only")?;
        memory(&status).with_context(|| format!("/proc/{id}/status does not tell the memory"))
    }

    /// Asks the process to stop, and waits until it has.
    pub async fn stop(mut self) -> Result<()> {
        self.check()?;
        let id = self.child.id().context("the process has ended")?;
        Command::new("kill")
            .arg(id.to_string())
            .status()
            .await
            .context("cannot run kill")?;
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(ended) => ended.map(drop).context("cannot wait for a process"),
            Err(_) => {
                self.child.kill().await?;
                bail!(
                    "{} did not stop within {PATIENCE:?}; its last words:\n{}",
                    self.name,
                    self.last_words()
                )
            }
        }
    }
}

fn memory(status: &str) -> Option<Memory> {
    let megabytes = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024.0 / 1e6)
    };
    Some(Memory {
        resident: megabytes("VmRSS")?,
        anonymous: megabytes("RssAnon")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_the_kernels_kibibytes() {
        let status = "Name:\tkeyloan\nVmHWM:\t   99999 kB\nVmRSS:\t   40000 kB\nRssAnon:\t   15625 kB\nRssFile:\t  1 kB\n";
        let expected = Memory {
            resident: 40.96,
            anonymous: 16.0,
        };
        assert_eq!(memory(status), Some(expected));
        assert_eq!(memory("Name:\tkeyloan\n"), None);
    }

    #[tokio::test]
    async fn a_process_that_ends_by_itself_is_noticed_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo planted >&2; exit 3"]);
        let mut process =
            Process::start("a shell", &mut command, &folder.path().join("log")).unwrap();
        process.child().wait().await.unwrap();
        let error = process.check().unwrap_err().to_string();
        assert!(
            error.contains("a shell") && error.contains("planted"),
            "{error}"
        );
    }
}
