//! Reports long actions on stderr, so that nobody takes a long build for a hang.

use std::io::{self, IsTerminal, Write};

/// Prints one line.
pub(crate) fn say(line: &str) {
    write(&format!("{line}\n"));
}

/// A failed write has no consequences: nobody reads the output then.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// A line that changes during an action: rewritten in place on a terminal, repeated now and then
/// elsewhere.
pub(crate) struct Line {
    terminal: bool,
}

impl Line {
    /// A line on stderr.
    pub(crate) fn new() -> Line {
        Line {
            terminal: io::stderr().is_terminal(),
        }
    }

    /// How long to wait between two updates.
    pub(crate) fn interval(&self) -> std::time::Duration {
        std::time::Duration::from_secs(if self.terminal { 1 } else { 10 })
    }

    /// Shows the current state.
    pub(crate) fn update(&self, state: &str) {
        if self.terminal {
            write(&format!("\r\x1b[2K{state}"));
        } else {
            say(state);
        }
    }

    /// Shows the last state and ends the line.
    pub(crate) fn finish(&self, state: &str) {
        self.update(state);
        if self.terminal {
            write("\n");
        }
    }
}
