//! Counts tests by the closing line of each test program.

use std::ops::AddAssign;

/// The numbers of tests by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed.
    pub passed: u32,
    /// Failed.
    pub failed: u32,
    /// Not run, because they are marked as ignored.
    pub ignored: u32,
}

impl Tally {
    /// The counts in a line of output; `None` if it is not the closing line of a test program.
    pub fn of_line(line: &str) -> Option<Self> {
        // test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s
        let (_verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |what: &str| {
            counts.split("; ").find_map(|part| {
                let (number, word) = part.split_once(' ')?;
                (word == what).then(|| number.parse().ok())?
            })
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            ignored: count("ignored")?,
        })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.ignored += more.ignored;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_of_a_test_program_is_counted() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s";
        let tally = Tally {
            passed: 12,
            failed: 2,
            ignored: 1,
        };
        assert_eq!(Tally::of_line(line), Some(tally));
    }

    #[test]
    fn other_lines_are_not() {
        for line in [
            "test plan::works ... ok",
            "running 3 tests",
            "test result: ",
            "",
        ] {
            assert_eq!(Tally::of_line(line), None, "{line}");
        }
    }
}
