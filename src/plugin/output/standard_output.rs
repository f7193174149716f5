//! Writes to standard output.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

use crate::plugin::failure::Failure;

/// Prints these lines.
pub(super) fn print(lines: &[String]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let shown = joined(lines);
    unless_reader_left(out.write_all(shown.as_bytes()).and_then(|()| out.flush()))
}

/// Prints exact data for programs to standard output.
pub fn put(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    unless_reader_left(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// A reader that stops early (`| head`) has read enough. Any other error is a failure, because the
/// output is incomplete.
fn unless_reader_left(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// The lines as one text.
pub(super) fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_not_written_is_a_failure_but_for_a_reader_who_left() {
        let written = |kind: ErrorKind| unless_reader_left(Err(kind.into()));
        assert_eq!(unless_reader_left(Ok(())), Ok(()));
        assert_eq!(written(ErrorKind::BrokenPipe), Ok(()));
        let failure = written(ErrorKind::StorageFull).unwrap_err();
        let told = failure.message;
        assert!(
            told.starts_with("cannot write to standard output: "),
            "{told}"
        );
    }
}
