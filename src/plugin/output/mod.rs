//! What is printed: results to standard output, everything else to standard error.

mod columns;
mod machine;
mod text;
mod times;
mod visible;

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write as _};
use std::os::fd::AsFd;

use terminal_size::{Width, terminal_size_of};

pub use machine::{Format, document, list, objects, print_object, yaml};
pub use text::{Text, facts, sections, table};
pub use times::{age, lasts, when};
pub use visible::visible;

use super::failure::Failure;

/// A terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 80;

/// Prints something to read to standard output.
pub fn say(text: impl Into<Text>) -> Result<(), Failure> {
    let shown = shown(&text.into(), io::stdout());
    let mut out = io::stdout().lock();
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
    let shown = shown(&text.into(), io::stderr());
    // Where even this cannot be said, nothing can.
    let _ = io::stderr().lock().write_all(shown.as_bytes());
}

/// Prints why a command failed.
pub fn complain(failure: &Failure) {
    remark(complaint(failure));
}

/// How a failure reads.
pub fn complaint(failure: &Failure) -> Text {
    let what = Text::from(format!("error: {}", failure.message));
    match &failure.next {
        Some(next) => what.and(Text::from(next.as_str()).indented("error: ".len())),
        None => what,
    }
}

/// The text in lines that this stream's terminal does not break; a file or a pipe breaks none.
fn shown(text: &Text, stream: impl AsFd + IsTerminal) -> String {
    let width = stream.is_terminal().then(|| {
        terminal_size_of(&stream).map_or(USUAL_WIDTH, |(Width(columns), _)| columns.into())
    });
    let lines = text.lines(width);
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
