//! Real time, for measuring, and the progress lines of a long run.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The interval of the progress lines of a counted phase.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// The current time, for measuring.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day, for comparisons with the clocks of other programs.
#[allow(
    clippy::disallowed_methods,
    reason = "this program has no operator's clock"
)]
pub fn wall_clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Prints the progress, with the time since the start. It uses standard error, because standard
/// output is for the result.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    start: Instant,
}

impl Progress {
    /// Starts the clock.
    pub fn start() -> Self {
        Self { start: now() }
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Prints one line.
    pub fn say(&self, line: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        // If standard error is closed, nobody is waiting.
        let _ = writeln!(std::io::stderr(), "{seconds:7.1} s  {line}");
    }

    /// Begins a counted phase.
    pub fn count(&self, what: impl Into<String>, total: usize) -> Count {
        let what = what.into();
        self.say(&format!("{what} ({total})"));
        let state = Mutex::new((0, now()));
        Count {
            progress: *self,
            what,
            total,
            state,
        }
    }
}

/// A counted phase.
#[derive(Debug)]
pub struct Count {
    progress: Progress,
    what: String,
    total: usize,
    state: Mutex<(usize, Instant)>,
}

impl Count {
    /// Counts one more.
    pub fn one(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        if state.1.elapsed() >= SAID_EVERY {
            state.1 = now();
            self.progress
                .say(&format!("  {}: {} of {}", self.what, state.0, self.total));
        }
    }
}
