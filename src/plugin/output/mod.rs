//! What is printed: results to standard output, everything else to standard error.

mod columns;
mod machine;
mod text;
mod times;
mod visible;

use std::fmt::Display;
use std::io::{IsTerminal, Write as _};
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
pub fn say(text: impl Into<Text>) {
    let shown = shown(&text.into(), std::io::stdout());
    // Whoever does not read on (`| head`) does not want to know more.
    let _ = std::io::stdout().lock().write_all(shown.as_bytes());
}

/// Prints to standard output, exactly, for programs.
pub fn put(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a remark that is no result.
pub fn remark(text: impl Into<Text>) {
    let shown = shown(&text.into(), std::io::stderr());
    let _ = std::io::stderr().lock().write_all(shown.as_bytes());
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
