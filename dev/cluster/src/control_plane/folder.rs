//! A folder that is removed when all programs in it have ended, no matter how this process ends.
//!
//! The [guardians](crate::program) of its programs hold a pipe to the janitor, another such shell,
//! which removes the folder when the last of them has ended.

use std::io::{self, PipeWriter};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::program::{Program, shell, wait};

/// Waits for the end of the standard input, then removes the folder `$0`.
const JANITOR: &str = r#"while read -r _; do :; done; rm -rf -- "$0""#;

/// The same for a folder that is kept.
const KEEPING_JANITOR: &str = "while read -r _; do :; done";

/// A folder that is removed when it is dropped and all programs in it have ended, even if this
/// process is killed.
pub(super) struct Folder {
    path: PathBuf,
    janitor: Child,
    /// Closing it tells the janitor that this process no longer needs the folder.
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
            .current_dir("/")
            .stdin(reader)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
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

    /// Starts a program that ends when the returned value is dropped.
    pub(super) fn run(
        &self,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> io::Result<Program> {
        let hold = self.hold.as_ref().map(PipeWriter::try_clone).transpose()?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir("/");
        Program::start_holding(&command, log, hold.map_or_else(Stdio::null, Stdio::from))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.hold = None;
        wait(&mut self.janitor);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::program::tests::lives;

    #[test]
    fn it_is_gone_when_it_and_its_programs_are_dropped() {
        let folder = Folder::create(false).unwrap();
        let path = folder.path().to_owned();
        let program = folder
            .run(Path::new("sleep"), &["1000".into()], &path.join("log"))
            .unwrap();
        let id = program.id();
        drop(program);
        assert!(!lives(id), "the program outlived its owner");
        assert!(path.exists(), "the folder is still held");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn it_can_be_kept() {
        let folder = Folder::create(true).unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(path.exists());
        fs::remove_dir_all(path).unwrap();
    }
}
