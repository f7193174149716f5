//! Runs programs so that they end with us, however we end, and leave nothing behind.
//!
//! Each program runs under a guardian, a shell that reads from a pipe which we hold. When we let go of it, or are
//! killed, the guardian reads the end of the file and kills its program. The guardians in turn hold a pipe to the
//! janitor, another such shell, which removes the folder when the last of them has ended. No signal handler is needed.

use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// Starts `"$@"` with its output in `$0`, and kills it at the end of the standard input.
///
/// When the program ends by itself the guardian does too, which is how we notice.
const GUARDIAN: &str = r#"
"$@" >"$0" 2>&1 </dev/null 3<&- &
program=$!
{ read -r _; kill -KILL "$program"; } <&3 3<&- &
watch=$!
exec 3<&-
wait "$program"
status=$?
kill "$watch"
exit "$status"
"#;

/// Waits for the end of the standard input, then removes the folder `$0`.
const JANITOR: &str = r#"while read -r _; do :; done; rm -rf -- "$0""#;

/// The same for a folder that is to be kept.
const KEEPING_JANITOR: &str = "while read -r _; do :; done";

/// How long the end of all programs may take before we go on without having seen it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A folder that is removed when it is dropped and all programs in it have ended, even if we are killed.
pub(super) struct Folder {
    path: PathBuf,
    janitor: Child,
    /// Its end tells the janitor that nobody needs the folder any more.
    hold: Option<PipeWriter>,
}

impl Folder {
    /// A new folder that only this user can read.
    pub(super) fn create(keep: bool) -> io::Result<Folder> {
        let path = tempfile::Builder::new()
            .prefix("keyloan-cluster-")
            .tempdir()?;
        let (reader, hold) = io::pipe()?;
        let janitor = shell(if keep { KEEPING_JANITOR } else { JANITOR })
            .arg(path.path())
            .stdin(reader)
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Folder {
            path: path.keep(),
            janitor,
            hold: Some(hold),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts a program, which ends when the returned value is dropped.
    pub(super) fn run(
        &self,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> io::Result<Process> {
        let hold = self.hold.as_ref().map(PipeWriter::try_clone).transpose()?;
        // The third descriptor, because a shell gives what it starts in the background no standard input.
        let guardian = shell(&format!("exec 3<&0 </dev/null\n{GUARDIAN}"))
            .arg(log)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(hold.map_or_else(Stdio::null, Stdio::from))
            .spawn()?;
        Ok(Process {
            guardian,
            log: log.to_owned(),
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.hold = None;
        wait(&mut self.janitor);
    }
}

/// A program that runs under a guardian.
pub(super) struct Process {
    guardian: Child,
    log: PathBuf,
}

impl Process {
    /// Whether the program has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.guardian.try_wait(), Ok(None))
    }

    /// The last lines of what the program said.
    pub(super) fn log_tail(&self, lines: usize) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        wait(&mut self.guardian);
    }
}

/// A shell in a process group of its own, so that an interrupt at the terminal reaches us alone.
fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(script)
        .current_dir("/")
        .stderr(Stdio::null())
        .process_group(0);
    shell
}

/// Waits a while for a shell that is about to end.
fn wait(shell: &mut Child) {
    let started = Instant::now();
    while matches!(shell.try_wait(), Ok(None)) && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(10), "{what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn script(folder: &Folder, text: &str) -> Process {
        let log = folder.path().join("log");
        folder
            .run(Path::new("sh"), &["-c".into(), text.into()], &log)
            .unwrap()
    }

    #[test]
    fn a_program_and_its_folder_end_when_they_are_dropped() {
        let folder = Folder::create(false).unwrap();
        let path = folder.path().to_owned();
        let mut process = script(&folder, "echo $$; exec sleep 1000");
        eventually("the program writes its log", || {
            !process.log_tail(1).is_empty()
        });
        let id = process.log_tail(1);
        let lives = || {
            Command::new("kill")
                .args(["-0", &id])
                .output()
                .unwrap()
                .status
                .success()
        };
        assert!(lives() && !process.has_ended());
        drop(process);
        assert!(!lives(), "the program outlived its owner");
        assert!(path.exists(), "the folder is still held");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_can_be_kept() {
        let folder = Folder::create(true).unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(path.exists());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_program_that_ends_by_itself_is_noticed_and_its_last_words_are_kept() {
        let folder = Folder::create(false).unwrap();
        let mut process = script(&folder, "echo one; echo two >&2; exit 3");
        eventually("the end is noticed", || process.has_ended());
        assert_eq!(process.log_tail(1), "two");
        assert_eq!(process.log_tail(10), "one\ntwo");
    }
}
