//! Says on stderr what takes long, so that nobody takes a long build for a hang.

use std::io::{self, IsTerminal, Write};

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

/// A line that changes while something is under way: rewritten in place on a terminal, said anew now and then elsewhere.
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

    /// Shows the present state.
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
