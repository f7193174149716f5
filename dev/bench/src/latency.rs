//! Percentiles of durations.

use std::time::Duration;

/// Measured durations.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    /// The smallest measured value that at least this share of all values does not exceed (the nearest rank); zero if
    /// nothing was measured.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied().unwrap_or_default()
    }

    /// The number of durations.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The median.
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }
}

impl FromIterator<Duration> for Latencies {
    fn from_iter<I: IntoIterator<Item = Duration>>(measured: I) -> Self {
        let mut sorted: Vec<Duration> = measured.into_iter().collect();
        sorted.sort_unstable();
        Self { sorted }
    }
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Latencies {
        milliseconds
            .into_iter()
            .map(Duration::from_millis)
            .collect()
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred = of((1..=100).rev());
        assert_eq!(hundred.percentile(50), Duration::from_millis(50));
        assert_eq!(hundred.percentile(99), Duration::from_millis(99));
        assert_eq!(hundred.percentile(100), Duration::from_millis(100));
    }

    #[test]
    fn of_few_values_the_99th_percentile_is_the_worst() {
        let few = of([7, 1, 3]);
        assert_eq!(few.percentile(99), Duration::from_millis(7));
        assert_eq!(few.median(), Duration::from_millis(3));
    }

    #[test]
    fn nothing_measured_is_nothing() {
        assert_eq!(of([]).percentile(99), Duration::ZERO);
    }
}
