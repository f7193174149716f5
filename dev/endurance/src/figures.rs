//! Figures that the results share: measured times, and what the machine says of itself.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Measured times in seconds.
#[derive(Debug, Default)]
pub struct Times(Vec<f64>);

impl Times {
    /// Adds one.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64());
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = self.sorted();
        let Some(longest) = sorted.last() else {
            return f.write_str("did not happen");
        };
        let median = sorted[sorted.len() / 2];
        let times = sorted.len();
        write!(
            f,
            "median {median:.1} s, longest {longest:.1} s ({times} times)"
        )
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sorted().serialize(serializer)
    }
}

/// A figure that was taken again and again.
#[derive(Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub fn extend(&mut self, sample: Option<f64>) {
        self.0.extend(sample);
    }

    /// The medians of the second and of the last quarter of the time; `None` if there are too few
    /// samples for that. The first quarter is that in which a process grows to its usual size.
    pub fn later_quarters(&self) -> Option<[f64; 2]> {
        let quarter = self.0.len() / 4;
        let median = |from: usize| {
            let mut part = self.0.get(from..from + quarter)?.to_vec();
            part.sort_by(f64::total_cmp);
            part.get(quarter / 2).copied()
        };
        Some([median(quarter)?, median(self.0.len() - quarter)?])
    }
}

impl Serialize for Samples {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The load average over the last minute, as the machine tells it.
pub fn load_average() -> String {
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let over_a_minute = told.split_whitespace().next();
    over_a_minute.unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_their_median_and_the_longest() {
        let mut times = Times::default();
        assert_eq!(times.to_string(), "did not happen");
        for seconds in [3, 1, 20] {
            times.push(Duration::from_secs(seconds));
        }
        assert_eq!(times.to_string(), "median 3.0 s, longest 20.0 s (3 times)");
    }

    #[test]
    fn growth_is_told_by_the_second_and_the_last_quarter() {
        let mut samples = Samples::default();
        assert_eq!(samples.later_quarters(), None);
        for sample in [1, 2, 3, 50, 51, 99, 52, 53, 54, 60, 61, 62] {
            samples.extend(Some(f64::from(sample)));
        }
        assert_eq!(samples.later_quarters(), Some([51.0, 61.0]));
    }
}
