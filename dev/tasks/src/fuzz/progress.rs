//! What libFuzzer says while it runs: how much it has tried, and the input that fails.

use std::fmt;

/// The state of a run.
#[derive(Debug, Default)]
pub struct Progress {
    /// The number of inputs tried.
    pub inputs: u64,
    /// The number of edges in the code that some input has taken.
    pub edges: u64,
    failed: bool,
    found: Option<String>,
}

impl Progress {
    /// Reads a line of the output.
    pub fn read(&mut self, line: &str) {
        if let Some(inputs) = line.strip_prefix("stat::number_of_executed_units:") {
            self.inputs = inputs.trim().parse().unwrap_or(self.inputs);
        } else if let Some(rest) = line.strip_prefix('#') {
            let mut words = rest.split_ascii_whitespace();
            let inputs = words.next().and_then(|word| word.parse().ok());
            self.inputs = inputs.unwrap_or(self.inputs);
            let edges = words.skip_while(|word| *word != "cov:").nth(1);
            let edges = edges.and_then(|word| word.parse().ok());
            self.edges = edges.unwrap_or(self.edges);
        } else if line.contains("panicked at") || line.contains("ERROR: libFuzzer") {
            self.failed = true;
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.found = Some(path.trim().to_owned());
        }
    }

    /// Whether an input has failed: what follows says how.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// The file with the input that fails.
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} inputs, {} edges", self.inputs, self.edges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_from_its_output() {
        let mut progress = Progress::default();
        for line in [
            "INFO: Seed: 1",
            "#2\tINITED cov: 120 ft: 121 corp: 1/1b exec/s: 0 rss: 41Mb",
            "#4096\tpulse  cov: 812 ft: 1200 corp: 33/12Kb lim: 4096 exec/s: 2048 rss: 60Mb",
        ] {
            progress.read(line);
        }
        assert_eq!((progress.inputs, progress.edges), (4096, 812));
        assert!(!progress.has_failed() && progress.found().is_none());
        progress.read("stat::number_of_executed_units: 5000");
        assert_eq!(progress.to_string(), "5000 inputs, 812 edges");
    }

    #[test]
    fn an_input_that_fails_is_found() {
        let mut progress = Progress::default();
        progress.read("thread '<unnamed>' panicked at fuzz_targets/plan.rs:1:1:");
        progress.read("artifact_prefix='x/'; Test unit written to x/crash-1");
        assert!(progress.has_failed());
        assert_eq!(progress.found(), Some("x/crash-1"));
    }
}
