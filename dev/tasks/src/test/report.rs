//! The steps of a run: a headline before each, its result and time after it, and a summary at the end.

use std::fmt::Display;
use std::future::Future;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::tally::Tally;
use crate::screen::took;
use crate::workspace::shown;

/// The result of a step that did not fail.
#[derive(Debug)]
pub enum Outcome {
    /// The step found no problem.
    Passed,
    /// The step could not run here, for this reason.
    Skipped(String),
}

/// Shows one line.
type Show = fn(&dyn Display);

/// All steps so far.
pub struct Report {
    steps: Vec<Step>,
    tally: Tally,
    show: Show,
}

struct Step {
    name: &'static str,
    time: Duration,
    result: Result<Outcome>,
}

impl Report {
    /// An empty report that prints its lines with `show`.
    pub fn new(show: Show) -> Self {
        Self {
            steps: Vec::new(),
            tally: Tally::default(),
            show,
        }
    }

    /// Runs a step; returns whether the steps that depend on it can run.
    pub async fn step(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<Outcome>>,
    ) -> bool {
        (self.show)(&format_args!("\n== {name}"));
        let started = Instant::now();
        let result = work.await;
        let step = Step {
            name,
            time: started.elapsed(),
            result,
        };
        (self.show)(&step);
        let good = step.result.is_ok();
        self.steps.push(step);
        good
    }

    /// Runs a step of tests, and counts them.
    pub async fn tests(&mut self, name: &'static str, command: Command) {
        let mut tally = Tally::default();
        self.step(name, run_tests(command, &mut tally, self.show))
            .await;
        self.tally += tally;
    }

    /// Notes a step that is not run.
    pub fn leave_out(&mut self, name: &'static str, why: &str) {
        self.steps.push(Step {
            name,
            time: Duration::ZERO,
            result: Ok(Outcome::Skipped(why.to_owned())),
        });
    }

    /// Prints the summary; an error names the steps that failed.
    pub fn finish(self) -> Result<()> {
        let show = self.show;
        show(&"\n== summary");
        self.steps.iter().for_each(|step| show(step));
        if self.tally.ignored > 0 {
            show(&format_args!(
                "{} tests are marked as ignored",
                self.tally.ignored
            ));
        }
        show(&format_args!(
            "{} passed, {} failed",
            self.tally.passed, self.tally.failed
        ));
        let failed = self.steps.iter().filter(|step| step.result.is_err());
        let failed: Vec<_> = failed.map(|step| step.name).collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, time, result } = self;
        let (verdict, why) = match result {
            Ok(Outcome::Passed) => ("ok", String::new()),
            Ok(Outcome::Skipped(why)) => ("skipped", format!("  {why}")),
            Err(error) => ("FAILED", format!("  {error:#}")),
        };
        write!(f, "{verdict:>8}  {name:<30} {:>12}{why}", took(*time))
    }
}

/// Runs a test command. Passes on its output, and counts the closing lines on the way.
async fn run_tests(mut command: Command, tally: &mut Tally, show: Show) -> Result<Outcome> {
    let mut tests = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shown(&command)))?;
    let stdout = tests.stdout.take().context("a process without output")?;
    let mut output = BufReader::new(stdout);
    // Tests may print bytes that are not UTF-8.
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes).await? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches('\n');
        show(&text);
        *tally += Tally::of_line(text).unwrap_or_default();
        bytes.clear();
    }
    let status = tests.wait().await?;
    if !status.success() {
        bail!(
            "{} tests failed; {} ended with {status}",
            tally.failed,
            shown(&command)
        );
    }
    if tally.passed == 0 {
        bail!("{} ran no test at all", shown(&command));
    }
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report whose lines nobody mistakes for those of the running tests.
    fn quiet() -> Report {
        Report::new(|_| ())
    }

    async fn report_of(script: &str) -> (Report, Tally) {
        let mut report = quiet();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        report.tests("tests", command).await;
        let tally = report.tally;
        (report, tally)
    }

    #[tokio::test]
    async fn all_test_programs_are_added_up() {
        let line = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let (report, tally) = report_of(&format!("echo '{line}'; echo noise; echo '{line}'")).await;
        assert_eq!((tally.passed, tally.failed, tally.ignored), (4, 0, 2));
        report.finish().unwrap();
    }

    #[tokio::test]
    async fn a_step_that_fails_is_named() {
        let (mut report, _) = report_of("echo out of memory; exit 101").await;
        report.step("lint", async { bail!("a warning") }).await;
        report.step("format", async { Ok(Outcome::Passed) }).await;
        assert_eq!(
            report.finish().unwrap_err().to_string(),
            "failed: tests, lint"
        );
    }

    #[tokio::test]
    async fn tests_that_do_not_run_are_a_failure() {
        let (report, _) = report_of("true").await;
        assert_eq!(report.finish().unwrap_err().to_string(), "failed: tests");
    }

    #[tokio::test]
    async fn what_was_skipped_is_no_failure() {
        let mut report = quiet();
        report.leave_out("advisories", "no network");
        assert!(report.steps[0].to_string().contains("skipped  advisories"));
        assert!(report.steps[0].to_string().contains("no network"));
        report.finish().unwrap();
    }
}
