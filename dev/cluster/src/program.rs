//! Programs that end with this process, no matter how it ends.
//!
//! Each program runs under a guardian, a shell that reads from a pipe. This process holds the other
//! end. When it closes that end, or is killed, the guardian reads the end of the file and kills its
//! program. No signal handler is needed.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Starts `"$@"` with its output in `$0`, prints its process id, and kills it at the end of the
/// standard input.
///
/// When the program ends by itself, so does the guardian, which this process notices. The third
/// descriptor is there because a shell redirects the standard input of background commands.
const GUARDIAN: &str = r#"
exec 3<&0 </dev/null
"$@" >"$0" 2>&1 3<&- &
program=$!
echo "$program"
{ read -r _; kill -KILL "$program"; } <&3 3<&- &
watch=$!
exec 3<&-
wait "$program"
status=$?
kill "$watch"
exit "$status"
"#;

/// A shell reports a program that a signal ended with an exit code: this number plus the signal's
/// number, from 1 to 64.
const BY_SIGNAL: i32 = 128;

/// How long to wait for the end of a shell before going on without it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that runs beside this process with its output in a file. It is killed when this is
/// dropped or this process ends.
///
/// An interrupt at the terminal reaches only this process.
#[derive(Debug)]
pub struct Program {
    guardian: Child,
    id: u32,
    log: PathBuf,
}

impl Program {
    /// Starts a program with the arguments, environment and folder of the command; all its output
    /// goes to the file.
    ///
    /// A program that cannot be started [has ended](Self::has_ended) at once; its log gives the
    /// reason.
    ///
    /// ```no_run
    /// # use std::{path::Path, process::Command};
    /// # use keyloan_cluster::Program;
    /// # fn example(folder: &Path) -> std::io::Result<()> {
    /// let mut command = Command::new("keyloan-simulator");
    /// let simulator = Program::start(command.arg("--no-quotas"), &folder.join("simulator.log"))?;
    /// println!("process {}", simulator.id());
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(command: &Command, log: &Path) -> io::Result<Self> {
        Self::start_holding(command, log, Stdio::null())
    }

    /// Starts a program and keeps `hold` open until its guardian has ended, too.
    pub(crate) fn start_holding(command: &Command, log: &Path, hold: Stdio) -> io::Result<Self> {
        let mut guardian = shell(GUARDIAN);
        guardian
            .arg(log)
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => guardian.env(name, value),
                None => guardian.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            guardian.current_dir(folder);
        }
        let mut guardian = guardian
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(hold)
            .spawn()?;
        let mut id = String::new();
        if let Some(told) = guardian.stdout.take() {
            BufReader::new(told).read_line(&mut id)?;
        }
        Ok(Self {
            guardian,
            id: id.trim().parse().map_err(io::Error::other)?,
            log: log.to_owned(),
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How the program ended, if it did.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let status = self.guardian.try_wait().unwrap_or_default()?;
        let signal = status.code().map(|code| code - BY_SIGNAL);
        let signal = signal.filter(|signal| (1..=64).contains(signal));
        Some(signal.map_or(status, ExitStatus::from_raw))
    }

    /// Asks the program to end.
    pub fn terminate(&self) -> io::Result<()> {
        signal(self.id, "TERM")
    }

    /// The file with the program's output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The program's output so far.
    pub fn said(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The last lines of its output.
    pub fn log_tail(&self, lines: usize) -> String {
        let said = self.said();
        let all: Vec<&str> = said.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        wait(&mut self.guardian);
    }
}

/// Sends a signal, such as `TERM`, to a process. A machine may lack the program `kill`, but each
/// shell has the command.
pub fn signal(process: u32, signal: &str) -> io::Result<()> {
    let mut tell = Command::new("sh");
    tell.args(["-c", r#"kill -s "$0" "$1""#, signal]);
    let told = tell.arg(process.to_string()).output()?;
    match told.status.success() {
        true => Ok(()),
        false => {
            let why = String::from_utf8_lossy(&told.stderr).trim().to_owned();
            Err(io::Error::other(why))
        }
    }
}

/// A shell in a process group of its own.
pub(crate) fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).process_group(0);
    shell
}

/// Waits a while for a shell that is about to end.
pub(crate) fn wait(shell: &mut Child) {
    let started = Instant::now();
    while matches!(shell.try_wait(), Ok(None)) && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(10), "{what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn lives(id: u32) -> bool {
        signal(id, "0").is_ok()
    }

    fn start(text: &str, folder: &tempfile::TempDir) -> Program {
        let mut command = Command::new("sh");
        command
            .args(["-c", text])
            .env("PLANTED", "in the environment");
        Program::start(&command, &folder.path().join("log")).unwrap()
    }

    #[test]
    fn it_ends_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = start("echo $$; exec sleep 1000", &folder);
        eventually("it writes its log", || !program.said().is_empty());
        let id = program.id();
        assert_eq!(program.said().trim(), id.to_string());
        assert!(lives(id) && program.has_ended().is_none());
        drop(program);
        assert!(!lives(id), "the program outlived its owner");
    }

    #[test]
    fn one_that_ends_by_itself_is_noticed_and_its_last_words_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = start("echo $PLANTED; echo two >&2; exit 3", &folder);
        eventually("the end is noticed", || program.has_ended().is_some());
        assert_eq!(program.has_ended().and_then(|how| how.code()), Some(3));
        assert_eq!(program.log_tail(1), "two");
        assert_eq!(program.said(), "in the environment\ntwo\n");
    }

    #[test]
    fn one_that_a_signal_has_ended_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = start("exec sleep 1000", &folder);
        program.terminate().unwrap();
        eventually("the end is noticed", || program.has_ended().is_some());
        assert_eq!(program.has_ended().and_then(|how| how.signal()), Some(15));
        assert!(program.terminate().is_err(), "the program no longer exists");
    }

    #[test]
    fn one_that_is_not_there_has_ended_at_once_and_its_log_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let command = Command::new("/nowhere/program");
        let mut program = Program::start(&command, &folder.path().join("log")).unwrap();
        eventually("the end is noticed", || program.has_ended().is_some());
        assert!(program.said().contains("/nowhere/program"));
    }
}
