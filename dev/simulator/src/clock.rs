//! The simulator's own time: real time plus an offset that the control API changes.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// A clock that can be moved.
#[derive(Default)]
pub struct Clock {
    offset_ms: AtomicI64,
}

impl Clock {
    /// The service's current time.
    // This tool has no other clock that could provide the real time.
    #[allow(clippy::disallowed_methods)]
    pub fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_millis(self.offset_ms.load(Ordering::Relaxed));
        Timestamp::now()
            .saturating_add(offset)
            .unwrap_or(Timestamp::MAX)
    }

    /// Moves the clock, forwards or backwards.
    pub fn shift(&self, by: SignedDuration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(by, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_moves_both_ways() {
        let clock = Clock::default();
        let start = clock.now();
        clock.shift(SignedDuration::from_hours(2));
        assert!(clock.now().duration_since(start) >= SignedDuration::from_hours(2));
        clock.shift(SignedDuration::from_hours(-3));
        assert!(clock.now() < start);
    }
}
