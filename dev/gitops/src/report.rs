//! The results of a run: what each tool did in each case.

use std::fmt;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use serde::Serialize;

/// The case without which there is no other.
const INSTALL: &str = "install";

/// All results.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The tools that ran, with their versions.
    pub tools: Vec<String>,
    /// The results, in the order of the run.
    pub results: Vec<Outcome>,
    /// The cases that run besides the installation; all of them for none.
    #[serde(skip)]
    only: Vec<String>,
}

/// The result of one case.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The tool.
    pub tool: String,
    /// The case.
    pub case: &'static str,
    /// The time that it took.
    pub seconds: f64,
    /// The observation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// The reason why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Report {
    /// A report of the installation and these cases; of all cases for none.
    pub fn of(cases: Vec<String>) -> Self {
        Self {
            only: cases,
            ..Self::default()
        }
    }

    /// Runs a case, tells how it went, and keeps the result; returns whether it went well. Does
    /// nothing if the run is about other cases.
    pub async fn case(
        &mut self,
        tool: &str,
        case: &'static str,
        run: impl Future<Output = anyhow::Result<String>>,
    ) -> bool {
        let is_chosen = |name: &String| name == case;
        if case != INSTALL && !self.only.is_empty() && !self.only.iter().any(is_chosen) {
            return false;
        }
        let began = Instant::now();
        let result = run.await;
        let took = began.elapsed();
        let (mark, text) = match &result {
            Ok(seen) => ("✓", seen.clone()),
            Err(error) => ("✗", format!("{error:#}")),
        };
        say(&format!("{mark} {tool}: {case} ({}): {text}", shown(took)));
        let is_well = result.is_ok();
        let (seen, failed) = match result {
            Ok(seen) => (Some(seen), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        self.results.push(Outcome {
            tool: tool.to_owned(),
            case,
            seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
            seen: seen.filter(|seen| !seen.is_empty()),
            failed,
        });
        is_well
    }

    /// Whether any case failed, or none ran.
    pub fn has_failed(&self) -> bool {
        self.results.is_empty() || self.results.iter().any(|result| result.failed.is_some())
    }
}

/// One line about the progress.
pub fn say(line: &str) {
    // If standard error is closed, nobody is waiting.
    let _ = writeln!(io::stderr(), "{line}");
}

fn shown(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for tool in &self.tools {
            writeln!(f, "{tool}")?;
        }
        writeln!(
            f,
            "\n| Tool | Case | Result | Time | Seen |\n|---|---|---|---|---|"
        )?;
        for result in &self.results {
            let (mark, text) = match (&result.failed, &result.seen) {
                (Some(failed), _) => ("failed", failed.as_str()),
                (None, seen) => ("ok", seen.as_deref().unwrap_or_default()),
            };
            let Outcome {
                tool,
                case,
                seconds,
                ..
            } = result;
            writeln!(f, "| {tool} | {case} | {mark} | {seconds:.1} s | {text} |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_short_run_leaves_the_other_cases_out() {
        let mut report = Report::of(vec!["prune".to_owned()]);
        let never = async { anyhow::bail!("it ran") };
        assert!(!report.case("Flux", "upgrade", never).await);
        assert!(report.results.is_empty());
        for case in ["install", "prune"] {
            let well = async { Ok(String::new()) };
            assert!(report.case("Flux", case, well).await);
        }
        assert_eq!(report.results.len(), 2);
    }

    #[tokio::test]
    async fn a_run_in_which_a_case_fails_or_none_ran_has_failed() {
        let mut report = Report::default();
        assert!(report.has_failed());
        let well = async { Ok("Ready".to_owned()) };
        assert!(report.case("Flux", "install", well).await);
        assert!(!report.has_failed());
        let badly = async { anyhow::bail!("not Ready") };
        assert!(!report.case("Flux", "upgrade", badly).await);
        assert!(report.has_failed());
        let table = report.to_string();
        assert!(table.contains("| Flux | install | ok |"), "{table}");
        assert!(table.contains("| upgrade | failed |"), "{table}");
    }
}
