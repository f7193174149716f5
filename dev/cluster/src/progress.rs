//! Says on stderr what takes long, so that nobody takes a long build for a hang.

use std::io::{self, Write};

/// Says one line.
pub(crate) fn say(line: &str) {
    write(&format!("{line}\n"));
}

/// A write that fails is of no consequence: nobody reads then.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}
