//! What is printed: results to standard output, everything else to standard error.

mod machine;
mod table;
mod times;
mod visible;

use std::fmt::Display;
use std::io::Write as _;

pub use machine::{Format, document, objects, print_object, yaml};
pub use table::{facts, table};
pub use times::{age, lasts, when};
pub use visible::visible;

use super::failure::Failure;

/// Prints a line, or several, for people to standard output.
pub fn say(text: impl Display) {
    // Whoever does not read on (`| head`) does not want to know more.
    let _ = writeln!(std::io::stdout().lock(), "{}", visible(&text.to_string()));
}

/// Prints to standard output, exactly, for programs.
pub fn put(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a remark that is no result.
pub fn remark(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", visible(&text.to_string()));
}

/// Prints why a command failed.
pub fn complain(failure: &Failure) {
    let _ = write!(std::io::stderr().lock(), "{}", visible(&complaint(failure)));
}

/// How a failure reads.
pub fn complaint(failure: &Failure) -> String {
    match &failure.next {
        Some(next) => format!("error: {}\n       {next}\n", failure.message),
        None => format!("error: {}\n", failure.message),
    }
}
