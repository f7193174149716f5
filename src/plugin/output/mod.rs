//! What is printed: results to standard output, everything else to standard error.

mod layout;
mod machine;

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write as _};
use std::os::fd::AsFd;

use terminal_size::{Width, terminal_size_of};

#[cfg(test)]
pub use layout::last_row;
pub use layout::lines;
pub use machine::{Format, Structured, document, list, objects, print_object, print_value, yaml};

use crate::desk::text::Text;

use super::failure::Failure;

/// A terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 80;

/// Prints something to read to standard output.
pub fn say(text: impl Into<Text>) -> Result<(), Failure> {
    print(&lines(&text.into(), width(io::stdout())))
}

/// Prints of a table just the last row, in the table's columns.
pub fn say_last_row(table: &Text) -> Result<(), Failure> {
    print(&layout::last_row(table, width(io::stdout())))
}

fn print(lines: &[String]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let shown = joined(lines);
    unless_nobody_reads(out.write_all(shown.as_bytes()).and_then(|()| out.flush()))
}

/// Prints to standard output, exactly, for programs.
pub fn put(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    unless_nobody_reads(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Whoever does not read on (`| head`) does not want to know more. Anybody else would take a part for the whole.
fn unless_nobody_reads(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Prints a remark that is no result.
pub fn remark(text: impl Into<Text>) {
    mention(&lines(&text.into(), width(io::stderr())));
}

/// Prints why a command failed.
pub fn complain(failure: &Failure) {
    mention(&complaint(failure, width(io::stderr())));
}

fn mention(lines: &[String]) {
    // Where even this cannot be said, nothing can.
    let _ = io::stderr().lock().write_all(joined(lines).as_bytes());
}

/// How a failure reads.
pub fn complaint(failure: &Failure, width: Option<usize>) -> Vec<String> {
    let begin = "error: ";
    let mut told = lines(&format!("{begin}{}", failure.message).into(), width);
    if let Some(next) = &failure.next {
        told.extend(layout::indented(&next.as_str().into(), begin.len(), width));
    }
    told
}

/// How wide lines may be that this stream's terminal does not break; a file or a pipe breaks none.
fn width(stream: impl AsFd + IsTerminal) -> Option<usize> {
    stream.is_terminal().then(|| {
        terminal_size_of(&stream).map_or(USUAL_WIDTH, |(Width(columns), _)| columns.into())
    })
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_not_written_is_a_failure_but_for_a_reader_who_left() {
        let written = |kind: ErrorKind| unless_nobody_reads(Err(kind.into()));
        assert_eq!(unless_nobody_reads(Ok(())), Ok(()));
        assert_eq!(written(ErrorKind::BrokenPipe), Ok(()));
        let failure = written(ErrorKind::StorageFull).unwrap_err();
        let told = failure.message;
        assert!(
            told.starts_with("cannot write to standard output: "),
            "{told}"
        );
    }
}
