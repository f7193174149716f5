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

/// The load average over the last minute, as the machine tells it.
pub fn load_average() -> String {
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let over_a_minute = told.split_whitespace().next();
    over_a_minute.unwrap_or("unknown").to_owned()
}

/// The memory of a process that no file backs, in megabytes.
pub fn memory(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
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
}
