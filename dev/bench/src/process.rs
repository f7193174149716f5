//! The processes under test: started, asked for their memory and processor time, stopped.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use keyloan_cluster::{Memory, Program, signal, wait_until};
use tokio::task::JoinHandle;

/// The time limit for a planned stop of a process.
const PATIENCE: Duration = Duration::from_secs(15);
/// How much of a log is shown when its process ends unexpectedly.
const LAST_LINES: usize = 20;
/// How often the memory is read to find its peak.
const LOOKS_EVERY: Duration = Duration::from_millis(100);
/// The length of the clock ticks in which the kernel tells programs their processor time: `USER_HZ` is 100 (proc_pid_stat(5)).
const TICK: Duration = Duration::from_millis(10);

/// A process that ends with this one, with its output in a file.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    program: Program,
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

    /// Its whole log.
    pub fn said(&self) -> String {
        self.program.said()
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        self.program.log_tail(LAST_LINES)
    }

    /// Its current memory.
    pub fn memory(&self) -> Result<Memory> {
        Memory::of(self.program.id()).context(
            "cannot read the memory of a process: it is measured on Linux only, as long as it runs",
        )
    }

    /// The processor time that it has used since its start, in ticks of 10 ms.
    pub fn processor_time(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.program.id());
        let stat = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {path}: {} does not run", self.name))?;
        processor_time(&stat).with_context(|| format!("{path} does not tell the processor time"))
    }

    /// Watches its memory from now on.
    pub fn follow_memory(&self) -> Peak {
        let highest = Arc::new(Mutex::new(0.0));
        let (process, noted) = (self.program.id(), highest.clone());
        let looks = tokio::spawn(async move {
            // The process may have ended.
            while let Ok(now) = Memory::of(process) {
                {
                    let mut highest = noted.lock().unwrap_or_else(PoisonError::into_inner);
                    *highest = now.anonymous.max(*highest);
                }
                tokio::time::sleep(LOOKS_EVERY).await;
            }
        });
        Peak { highest, looks }
    }

    /// Asks the process to stop, without waiting for it.
    pub fn terminate(&self) -> Result<()> {
        self.program
            .terminate()
            .with_context(|| format!("cannot stop {}", self.name))
    }

    /// Kills the process, as a crash would.
    pub fn kill(&self) -> Result<()> {
        signal(self.program.id(), "KILL").with_context(|| format!("cannot kill {}", self.name))
    }

    /// Asks the process to stop, and waits until it has.
    pub async fn stop(mut self) -> Result<()> {
        self.check()?;
        self.terminate()?;
        self.until_ended().await
    }

    /// Waits until the process has ended.
    pub async fn until_ended(mut self) -> Result<()> {
        let what = format!("{} has stopped", self.name);
        wait_until(what, PATIENCE, async || self.program.has_ended())
            .await
            .with_context(|| format!("its last words:\n{}", self.last_words()))?;
        Ok(())
    }
}

/// The peak memory of a process since it is watched.
#[derive(Debug)]
pub struct Peak {
    highest: Arc<Mutex<f64>>,
    looks: JoinHandle<()>,
}

impl Peak {
    /// The highest `RssAnon` so far, in megabytes.
    pub fn so_far(&self) -> f64 {
        *self.highest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.looks.abort();
    }
}

fn processor_time(stat: &str) -> Option<Duration> {
    // The name of the program may contain anything, including blanks and brackets. The state is the
    // third field, after it.
    let (_, from_state) = stat.rsplit_once(')')?;
    let mut from_user_time = from_state.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (
        from_user_time.next()?.parse().ok()?,
        from_user_time.next()?.parse().ok()?,
    );
    Some(TICK * user.checked_add(system)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_that_of_the_program_and_of_the_kernel_for_it() {
        let stat = "4242 (key) 7 (loan) S 1 4242 4242 0 -1 4194560 9001 55 3 4 150 25 77 88 20 0 6 0 1234 5 6";
        assert_eq!(processor_time(stat), Some(Duration::from_millis(1750)));
    }

    #[test]
    fn a_stat_that_ends_early_tells_no_processor_time() {
        assert_eq!(processor_time(""), None);
        assert_eq!(processor_time("4242 (keyloan) S 1 4242"), None);
        let without_system_time = "4242 (keyloan) S 1 4242 4242 0 -1 4194560 9001 55 3 4 150";
        assert_eq!(processor_time(without_system_time), None);
    }

    #[tokio::test]
    async fn a_process_that_works_uses_processor_time_and_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]);
        let process = Process::start("a shell", &command, &folder.path().join("log")).unwrap();
        let peak = process.follow_memory();
        let busy = async || (!process.processor_time().unwrap().is_zero()).then_some(());
        wait_until("it has worked", PATIENCE, busy).await.unwrap();
        let seen = async || (peak.so_far() > 0.0).then_some(());
        wait_until("its memory is seen", PATIENCE, seen)
            .await
            .unwrap();
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
