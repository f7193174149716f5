//! The results: figures beside their aims, as a table for people or as JSON for programs.

mod machine;
mod table;

use serde::Serialize;

pub use machine::Machine;

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Keyloan's version.
    pub version: String,
    /// The command that started the run.
    pub command: String,
    /// Whether it was a short run, for development: its figures must not be quoted.
    pub quick: bool,
    /// The start of the run, in UTC.
    pub began: jiff::Timestamp,
    /// The duration of the run, in seconds.
    pub seconds: u64,
    /// The machine.
    pub machine: Machine,
    /// The figures, by subject.
    pub sections: Vec<Section>,
}

/// Figures on one subject.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Section {
    /// The subject.
    pub title: &'static str,
    /// How the figures were measured, in a sentence or two.
    pub how: String,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// The name of the figure.
    pub what: String,
    /// The measured value.
    pub value: f64,
    /// The unit of the value.
    pub unit: Unit,
    /// The aim: the value should be at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aim: Option<f64>,
    /// Whether the value meets the aim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
    /// The parts of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Links.
    Links,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// A factor.
    #[serde(rename = "ratio")]
    Ratio,
    /// Megabytes: 10^6 bytes.
    #[serde(rename = "MB")]
    Megabytes,
    /// Bytes.
    #[serde(rename = "B")]
    Bytes,
    /// HTTP requests to 1Password.
    #[serde(rename = "requests")]
    Requests,
    /// Writes to the Kubernetes API.
    #[serde(rename = "writes")]
    Writes,
    /// Lines of a log.
    #[serde(rename = "lines")]
    Lines,
    /// A number of occurrences.
    #[serde(rename = "times")]
    Times,
    /// Loans per second.
    #[serde(rename = "loans/s")]
    LoansPerSecond,
}

impl Section {
    /// A section without figures.
    pub fn new(title: &'static str, how: impl Into<String>) -> Self {
        Self {
            title,
            how: how.into(),
            figures: Vec::new(),
        }
    }

    /// Adds a figure.
    pub fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }
}

impl Figure {
    /// A figure without an aim.
    pub fn new(what: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
            aim: None,
            met: None,
            detail: None,
        }
    }

    /// Sets the aim: at most this.
    pub fn at_most(mut self, aim: f64) -> Self {
        self.aim = Some(aim);
        self.met = Some(self.value <= aim);
        self
    }

    /// Sets the parts of the value.
    pub fn made_of(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// A run without a report yet: its command and its start.
pub struct Run {
    command: String,
    quick: bool,
    began: jiff::Timestamp,
    machine: Machine,
}

impl Run {
    /// Begins a run of this command.
    pub fn begin(command: &str, quick: bool) -> Self {
        Self {
            command: command.to_owned(),
            quick,
            began: crate::stopwatch::wall_clock(),
            machine: Machine::this(),
        }
    }

    /// Ends the run after this many seconds.
    pub fn report(self, seconds: u64, sections: Vec<Section>) -> Report {
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: self.command,
            quick: self.quick,
            began: self.began,
            seconds,
            machine: self.machine.after_the_run(),
            sections,
        }
    }
}

impl Report {
    /// The report for programs.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// The figures that missed their aims.
    pub fn missed(&self) -> impl Iterator<Item = &Figure> {
        self.sections
            .iter()
            .flat_map(|section| &section.figures)
            .filter(|figure| figure.met == Some(false))
    }
}
