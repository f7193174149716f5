//! The judges' verdicts: a table of judges and steps, and what differs.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::court::{Session, Truth};
use crate::steps::{About, Answer, Step, Taken, Testimony};
use crate::verdict::{additions, differences};

/// All verdicts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    judges: Vec<About>,
    steps: Vec<Row>,
    /// What one judge's core returns and another's does not; no difference by itself.
    remarks: Vec<String>,
}

/// A step, with a verdict for each judge.
#[derive(Serialize)]
struct Row {
    step: &'static str,
    verdicts: Vec<Verdict>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    /// Absent if the judge has no such step.
    ok: Option<bool>,
    requests: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

impl Report {
    /// Compares each judge with the account, and with Keyloan, the first one.
    pub fn of(session: &Session) -> Self {
        let Session { truth, testimonies } = session;
        let rows = Step::ALL.iter().enumerate().map(|(at, step)| {
            let own = testimonies.first().and_then(|own| own.steps.get(at));
            let verdicts = testimonies.iter().filter_map(|judge| judge.steps.get(at));
            Row {
                step: step.name(),
                verdicts: verdicts.map(|taken| judge(truth, own, taken)).collect(),
            }
        });
        Self {
            judges: testimonies
                .iter()
                .map(|judge| judge.about.clone())
                .collect(),
            steps: rows.collect(),
            remarks: remarks(testimonies),
        }
    }

    /// Whether any judge found a difference.
    pub fn differs(&self) -> bool {
        let mut verdicts = self.steps.iter().flat_map(|row| &row.verdicts);
        verdicts.any(|verdict| verdict.ok == Some(false))
    }
}

fn judge(truth: &Truth, own: Option<&Taken>, taken: &Taken) -> Verdict {
    let mut found = Vec::new();
    match &taken.answer {
        Answer::Absent => {}
        Answer::Refused(words) => match taken.step.refusal() {
            Some(expected) if words.contains(expected) => {}
            Some(expected) => found.push(format!("refused without \"{expected}\": {words}")),
            None => found.push(format!("refused: {words}")),
        },
        Answer::Said(_) if taken.step.refusal().is_some() => found.push("not refused".to_owned()),
        Answer::Said(said) => {
            let said = match taken.step {
                Step::Resolve => &json!({ "value": said }),
                _ => said,
            };
            let of_truth = truth.of(taken.step);
            if !of_truth.is_null() {
                found.extend(differences(&of_truth, said));
            }
            if let Some(Answer::Said(own)) = own.map(|own| &own.answer) {
                found.extend(differences(own, said).into_iter().map(unlike_ours));
            }
        }
    }
    let unknown = taken.unknown.iter();
    found.extend(unknown.map(|route| format!("asks for what is not simulated: {route}")));
    Verdict {
        ok: match taken.answer {
            Answer::Absent => None,
            _ => Some(found.is_empty()),
        },
        requests: taken.requests,
        differences: found,
    }
}

fn unlike_ours(difference: String) -> String {
    format!("unlike Keyloan's core: {difference}")
}

/// What the official clients return differently from each other: their cores differ.
fn remarks(testimonies: &[Testimony]) -> Vec<String> {
    let mut remarks = Vec::new();
    let [_, one, other] = testimonies else {
        return remarks;
    };
    for (a, b) in one.steps.iter().zip(&other.steps) {
        let (Answer::Said(said), Answer::Said(other_said)) = (&a.answer, &b.answer) else {
            continue;
        };
        let mut say = |who: &About, paths: Vec<String>| {
            for path in paths {
                remarks.push(format!(
                    "{}: only {} returns {path}",
                    a.step.name(),
                    who.client
                ));
            }
        };
        say(&one.about, additions(other_said, said));
        say(&other.about, additions(said, other_said));
        let values = differences(said, other_said).into_iter();
        for difference in values.filter(|line| !line.ends_with(" is missing")) {
            let (name, who) = (a.step.name(), &other.about.client);
            remarks.push(format!("{name}: with {who}, {difference}"));
        }
    }
    remarks
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |verdict: &Verdict| match verdict.ok {
            None => "-".to_owned(),
            Some(true) => format!("ok ({})", verdict.requests),
            Some(false) => format!("differs ({})", verdict.requests),
        };
        let first = self.steps.iter().map(|row| row.step.len()).max();
        let first = first.unwrap_or_default();
        let width = |at: usize| {
            let cells = self.steps.iter().filter_map(|row| row.verdicts.get(at));
            let cells = cells.map(|verdict| cell(verdict).len());
            cells.chain([self.judges[at].client.len()]).max()
        };
        let widths: Vec<_> = (0..self.judges.len()).filter_map(width).collect();
        write!(f, "{:<first$}", "step")?;
        for (judge, width) in self.judges.iter().zip(&widths) {
            write!(f, "  {:<width$}", judge.client)?;
        }
        writeln!(f)?;
        for row in &self.steps {
            write!(f, "{:<first$}", row.step)?;
            for (verdict, width) in row.verdicts.iter().zip(&widths) {
                write!(f, "  {:<width$}", cell(verdict))?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "\nIn parentheses: the requests of the step. -: the judge has no such step.\n"
        )?;
        for judge in &self.judges {
            let About {
                client,
                core,
                license,
                sha256,
                runtime,
            } = judge;
            writeln!(
                f,
                "{client} on {runtime}\n  core {core}, {license}, sha256 {sha256}"
            )?;
        }
        let judged = self.steps.iter().flat_map(|row| {
            let judges = self.judges.iter().zip(&row.verdicts);
            judges.map(move |(judge, verdict)| (row.step, &judge.client, &verdict.differences))
        });
        for (step, client, differences) in judged {
            for difference in differences {
                writeln!(f, "\n{client}, {step}: {difference}")?;
            }
        }
        for remark in &self.remarks {
            writeln!(f, "\nremark: {remark}")?;
        }
        Ok(())
    }
}

impl Report {
    /// The report for programs.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let mut report = serde_json::to_value(self)?;
        report["differs"] = Value::Bool(self.differs());
        serde_json::to_string_pretty(&report)
    }
}
