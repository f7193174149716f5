//! Output: results to standard output, everything else to standard error.

mod layout;
mod machine;
mod standard_output;
mod stream;

use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;

use terminal_size::{Width, terminal_size_of};

#[cfg(test)]
pub use layout::last_row;
pub use layout::lines;
pub use machine::{
    Format, Structured, by_code_point, document, harmless, list, objects, print_object,
    print_value, yaml,
};
pub use standard_output::put;
#[cfg(test)]
pub use stream::csv_row;
pub use stream::{Array, put_csv};

use crate::desk::text::Text;

use super::failure::Failure;
use standard_output::{joined, print};

/// The width of a terminal that does not report one.
const USUAL_WIDTH: usize = 80;

/// Prints a text to standard output.
pub fn say(text: impl Into<Text>) -> Result<(), Failure> {
    print(&lines(&text.into(), width(io::stdout())))
}

/// Prints only the last row of a table, in the table's columns.
pub fn say_last_row(table: &Text) -> Result<(), Failure> {
    print(&layout::last_row(table, width(io::stdout())))
}

/// Prints a remark to standard error.
pub fn remark(text: impl Into<Text>) {
    mention(&lines(&text.into(), width(io::stderr())));
}

/// Prints the failure of a command to standard error.
pub fn complain(failure: &Failure) {
    mention(&complaint(failure, width(io::stderr())));
}

fn mention(lines: &[String]) {
    // If standard error cannot be written, there is no place to report that.
    let _ = io::stderr().lock().write_all(joined(lines).as_bytes());
}

/// The lines of a failure's message.
pub fn complaint(failure: &Failure, width: Option<usize>) -> Vec<String> {
    let begin = "error: ";
    let mut told = lines(&format!("{begin}{}", failure.message).into(), width);
    if let Some(next) = &failure.next {
        told.extend(layout::indented(&next.as_str().into(), begin.len(), width));
    }
    told
}

/// The width of this stream's terminal; `None` for a file or a pipe, where lines are not wrapped.
fn width(stream: impl AsFd + IsTerminal) -> Option<usize> {
    stream.is_terminal().then(|| {
        terminal_size_of(&stream).map_or(USUAL_WIDTH, |(Width(columns), _)| columns.into())
    })
}
