//! The processes under test: started, asked for their memory, stopped.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use keyloan_cluster::{Program, wait_until};

/// How long a process may take to stop when it is asked to.
const PATIENCE: Duration = Duration::from_secs(15);
/// So much of a log is shown when its process ends by itself.
const LAST_LINES: usize = 20;

/// A process that ends with this one, with its output in a file.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    program: Program,
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
    /// Starts a process.
    pub fn start(name: &'static str, command: &Command, log: &Path) -> Result<Self> {
        let program =
            Program::start(command, log).with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, program })
    }

    /// Fails, with the end of its log, if the process has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.program.has_ended() {
            None => Ok(()),
            Some(how) => bail!(
                "{} has ended ({how}); its last words:\n{}",
                self.name,
                self.last_words()
            ),
        }
    }

    /// All that it has said.
    pub fn said(&self) -> String {
        self.program.said()
    }

    /// The end of what it has said.
    pub fn last_words(&self) -> String {
        self.program.log_tail(LAST_LINES)
    }

    /// What it has in memory now.
    pub fn memory(&self) -> Result<Memory> {
        let id = self.program.id();
        let status = fs::read_to_string(format!("/proc/{id}/status"))
            .context("cannot read /proc: the memory of a process is measured on Linux only, as long as it runs")?;
        memory(&status).with_context(|| format!("/proc/{id}/status does not tell the memory"))
    }

    /// Asks the process to stop, and waits until it has.
    pub async fn stop(mut self) -> Result<()> {
        self.check()?;
        self.program
            .terminate()
            .with_context(|| format!("cannot stop {}", self.name))?;
        let what = format!("{} has stopped", self.name);
        wait_until(what, PATIENCE, async || self.program.has_ended())
            .await
            .with_context(|| format!("its last words:\n{}", self.last_words()))?;
        Ok(())
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
        let mut process = Process::start("a shell", &command, &folder.path().join("log")).unwrap();
        let ended = async || process.check().err();
        let error = wait_until("it ends", PATIENCE, ended).await.unwrap();
        let error = error.to_string();
        assert!(
            error.contains("a shell") && error.contains("planted"),
            "{error}"
        );
    }
}
