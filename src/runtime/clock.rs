//! The operator's clock: the only place that reads the time.
//!
//! Deadlines are wall-clock times, so the clock watches for jumps: after a suspended node or a
//! changed clock, everything that waits is checked at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// How often to compare the wall clock with the monotonic one.
const COMPARED_EVERY: Duration = Duration::from_secs(5);
/// The largest difference between two comparisons that is not a jump.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// The time. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// How many milliseconds this clock is ahead of the system's.
    ahead: AtomicI64,
    jumps: watch::Sender<u64>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Arc::new(Shared {
            ahead: AtomicI64::new(0),
            jumps: watch::Sender::new(0),
        }))
    }

    /// The current time.
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.0.ahead.load(Ordering::SeqCst));
        Timestamp::now()
            .saturating_add(ahead)
            .unwrap_or(Timestamp::MAX)
    }

    /// A point in time for measuring durations.
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn stopwatch(&self) -> Instant {
        Instant::now()
    }

    /// Moves this clock against the system's, as if somebody had set it. Tests use it to see what
    /// happens hours later.
    pub fn advance(&self, by: SignedDuration) {
        let milliseconds = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.ahead.fetch_add(milliseconds, Ordering::SeqCst);
        self.announce_jump();
    }

    /// Changes whenever the clock has jumped.
    pub fn jumps(&self) -> watch::Receiver<u64> {
        self.0.jumps.subscribe()
    }

    /// Watches the system's clock for jumps; never returns.
    pub async fn watch(self) {
        let mut wall = self.now();
        let mut monotonic = self.stopwatch();
        let mut jumps = self.jumps();
        loop {
            tokio::time::sleep(COMPARED_EVERY).await;
            let (wall_now, monotonic_now) = (self.now(), self.stopwatch());
            let announced = jumps.has_changed().unwrap_or(false);
            jumps.mark_unchanged();
            if !announced && jumped(wall_now.duration_since(wall), monotonic_now - monotonic) {
                tracing::warn!(
                    by_seconds = (wall_now.duration_since(wall)).as_secs(),
                    "the wall clock jumped; checking all deadlines again"
                );
                self.announce_jump();
                jumps.mark_unchanged();
            }
            (wall, monotonic) = (wall_now, monotonic_now);
        }
    }

    fn announce_jump(&self) {
        self.0.jumps.send_modify(|count| *count += 1);
    }
}

/// Whether the wall clock differs from the elapsed time.
fn jumped(by_the_wall: SignedDuration, passed: Duration) -> bool {
    let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
    by_the_wall.saturating_sub(passed).abs() > TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::as_expected(5_000, 5_000, false)]
    #[case::a_late_wake_up(9_000, 9_000, false)]
    #[case::slewed_a_little(5_900, 5_000, false)]
    #[case::the_node_slept(3_605_000, 5_000, true)]
    #[case::set_back(-55_000, 5_000, true)]
    fn a_jump_is_a_wall_clock_that_parts_from_the_time_that_passed(
        #[case] wall: i64,
        #[case] passed: u64,
        #[case] jump: bool,
    ) {
        let by_the_wall = SignedDuration::from_millis(wall);
        assert_eq!(jumped(by_the_wall, Duration::from_millis(passed)), jump);
    }

    #[test]
    fn advancing_moves_every_clone_and_is_a_jump() {
        let clock = Clock::system();
        let (other, jumps, before) = (clock.clone(), clock.jumps(), clock.now());
        clock.advance(SignedDuration::from_hours(5));
        assert!(other.now().duration_since(before) >= SignedDuration::from_hours(5));
        assert!(jumps.has_changed().expect("the clock is there"));
    }
}
