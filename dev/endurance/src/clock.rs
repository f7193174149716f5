//! The clock of a run: as far ahead of the system's as the operator's and 1Password's are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use keyloan_simulator::Control;

/// A clock. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// In milliseconds.
    ahead: Arc<AtomicU64>,
}

impl Clock {
    /// The time.
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::try_from(self.ahead()).unwrap_or_default();
        Timestamp::now()
            .saturating_add(ahead)
            .unwrap_or(Timestamp::MAX)
    }

    /// How far it is ahead.
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead.load(Ordering::SeqCst))
    }
}

/// Moves the clock, the simulated 1Password's, and those of operators that follow a file.
pub struct Mover {
    clock: Clock,
    control: Control,
    file: PathBuf,
}

impl Mover {
    /// All of them show the system's time.
    pub fn new(clock: Clock, control: Control, file: PathBuf) -> Result<Self> {
        let mover = Self {
            clock,
            control,
            file,
        };
        mover.write()?;
        Ok(mover)
    }

    /// Lets time pass.
    pub async fn advance(&self, by: Duration) -> Result<()> {
        let milliseconds = u64::try_from(by.as_millis())?;
        self.clock.ahead.fetch_add(milliseconds, Ordering::SeqCst);
        // The operators first: a link must not seem to be made before its intent.
        self.write()?;
        self.control.advance_clock(by).await?;
        Ok(())
    }

    fn write(&self) -> Result<()> {
        let half_written = self.file.with_extension("new");
        std::fs::write(&half_written, self.clock.ahead().as_millis().to_string())?;
        std::fs::rename(&half_written, &self.file).context("cannot move the operators' clock")
    }
}

/// How far the file says that a clock is ahead.
pub fn told(file: &Path) -> Result<SignedDuration> {
    let text = std::fs::read_to_string(file).context("cannot read the file with the time")?;
    Ok(SignedDuration::from_millis(text.trim().parse()?))
}
