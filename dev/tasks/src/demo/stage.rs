//! Shows the demo's steps: each success with its time, or the failure with the end of the programs'
//! logs.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use keyloan_cluster::Program;

use crate::screen::{line, took};

/// The number of lines of a program's log that are shown when a step fails.
const SHOWN: usize = 15;

/// The steps so far, and the programs that have to keep running during the next ones.
#[derive(Default)]
pub struct Stage {
    programs: Vec<(&'static str, Program)>,
    finished: bool,
}

impl Stage {
    /// Runs a step, which may take at most this time; an error names the step.
    pub async fn step<T>(
        &mut self,
        name: &str,
        at_most: Duration,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let started = Instant::now();
        let result = tokio::select! {
            // First, because the end of a program explains other failures.
            biased;
            ended = ended(&mut self.programs) => Err(ended),
            result = tokio::time::timeout(at_most, work) => {
                result.unwrap_or_else(|_| Err(anyhow!("it was not done after {}", took(at_most))))
            }
        };
        let time = took(started.elapsed());
        match &result {
            Ok(_) => line(format_args!("  ✓ {name:<70} {time:>11}")),
            Err(error) => {
                line(format_args!("  ✗ {name:<70} {time:>11}"));
                self.tell(format_args!("{error:#}"));
                self.show_logs();
            }
        }
        result.with_context(|| format!("the demo failed at the step: {name}"))
    }

    /// Prints the details of the last step.
    pub fn tell(&self, text: impl Display) {
        for text in text.to_string().lines() {
            line(format_args!("      {text}"));
        }
    }

    /// From now on, every step fails as soon as this program ends.
    pub fn watch(&mut self, name: &'static str, program: Program) {
        self.programs.push((name, program));
    }

    /// Notes that all steps have succeeded.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Whether all steps have succeeded.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Waits until one of the programs ends, which is always an error.
    pub async fn until_one_ends(&mut self) -> anyhow::Error {
        let error = ended(&mut self.programs).await;
        self.show_logs();
        error
    }

    fn show_logs(&self) {
        for (name, program) in &self.programs {
            line(format_args!("\n    the end of the log of the {name}:"));
            self.tell(program.log_tail(SHOWN));
        }
    }
}

/// The first program that ends.
async fn ended(programs: &mut [(&'static str, Program)]) -> anyhow::Error {
    // Polling is enough: there are two programs, and a tenth of a second is soon enough.
    loop {
        for (name, program) in programs.iter_mut() {
            if let Some(how) = program.has_ended() {
                return anyhow!("the {name} has ended ({how}), but it should run");
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
