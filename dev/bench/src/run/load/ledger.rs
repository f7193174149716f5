//! What an auditor's questions cost on a large ledger: each is asked with the plugin, and compared
//! with a bare client that lists all records.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Request;
use keyloan_cluster::Memory;
use serde::Deserialize;
use tokio::process::Command;

use super::crowd::user;
use super::history::PEOPLE;
use super::{Load, in_megabytes, in_seconds, ratio};
use crate::report::{Figure, Section, Unit};
use crate::stage::PLATFORM;
use crate::stopwatch;

/// How often each question is asked; the figures are those of the middle one.
const TIMES: usize = 5;
/// How many records are in a page: the plugin's number.
const PAGE: usize = 500;
/// The number of the first copy: History writes those before.
const OTHERS: usize = 1_000_000;
/// The upper limits.
const RATIO: f64 = 2.0;
const MEGABYTES: f64 = 100.0;
/// How often the memory of a program is read that runs for a second or two.
const LOOKS_EVERY: Duration = Duration::from_millis(2);

/// A question.
struct Question {
    what: &'static str,
    command: String,
    /// Whether all records have to be read.
    is_of_all: bool,
    /// The least number of rows in the answer.
    rows: usize,
}

/// What an answer cost.
struct Cost {
    time: Duration,
    megabytes: f64,
}

/// A page of a list, of which only the way to the next one is read.
#[derive(Deserialize)]
struct Page {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl Load {
    /// Asks questions about many records.
    pub(super) async fn ask_the_ledger(&mut self) -> Result<Section> {
        let records = self.scale.ledger;
        let mut section = Section::new(
            "Ledger",
            format!(
                "{records} records of ended loans, as in History. Each question is asked {TIMES} times with kubectl keyloan, in turn with \
                 a bare client that reads the same records in pages of {PAGE} and keeps nothing. The middle figures."
            ),
        );
        let pattern = self.an_ended_record().await?;
        self.write_records(&pattern, OTHERS..OTHERS + records)
            .await?;
        self.rest().await?;
        let questions = questions(records);
        let mut lists = Vec::new();
        let mut answers = Vec::new();
        answers.resize_with(questions.len(), Vec::new);
        for _ in 0..TIMES {
            lists.push(self.list_all().await?);
            for (question, costs) in questions.iter().zip(&mut answers) {
                costs.push(self.ask(question).await?);
            }
        }
        lists.sort();
        let list = lists[TIMES / 2];
        section.add(in_seconds("reading all records in pages", list));
        for (question, mut costs) in questions.iter().zip(answers) {
            costs.sort_by_key(|cost| cost.time);
            let (what, middle) = (question.what, costs[TIMES / 2].time);
            let figure = Figure::new(format!("{what}: to that"), ratio(middle, list), Unit::Ratio)
                .made_of(format!("{:.2} s", middle.as_secs_f64()));
            section.add(match question.is_of_all {
                true => figure.at_most(RATIO),
                false => figure,
            });
            let megabytes = costs.iter().map(|cost| cost.megabytes).fold(0.0, f64::max);
            let memory = in_megabytes(format!("{what}: peak VmRSS"), megabytes);
            section.add(memory.at_most(MEGABYTES));
        }
        Ok(section)
    }

    /// Reads all records, and keeps none.
    async fn list_all(&self) -> Result<Duration> {
        let began = stopwatch::now();
        let mut next = String::new();
        loop {
            let path = format!(
                "/apis/keyloan.dev/v1alpha1/namespaces/{PLATFORM}/accessrecords?limit={PAGE}&continue={next}"
            );
            let request = Request::get(path).body(Vec::new())?;
            let text = self.ground.stage.admin.request_text(request).await?;
            let page: Page = serde_json::from_str(&text)?;
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(token) => next = token,
                None => return Ok(began.elapsed()),
            }
        }
    }

    async fn ask(&self, question: &Question) -> Result<Cost> {
        let answer = tempfile::NamedTempFile::new()?;
        let began = stopwatch::now();
        let mut asking = Command::new(self.ground.plugin());
        asking
            .arg("--kubeconfig")
            .arg(self.ground.admin_kubeconfig())
            .args(["-n", PLATFORM])
            .args(question.command.split(' '))
            .stdin(Stdio::null())
            .stdout(answer.reopen()?)
            .kill_on_drop(true);
        let mut asking = asking.spawn().context("cannot start kubectl-keyloan")?;
        let id = asking.id().context("it has ended already")?;
        let mut megabytes: f64 = 0.0;
        let ended = loop {
            if let Ok(now) = Memory::of(id) {
                megabytes = megabytes.max(now.resident);
            }
            if let Some(ended) = asking.try_wait()? {
                break ended;
            }
            tokio::time::sleep(LOOKS_EVERY).await;
        };
        let time = began.elapsed();
        let command = &question.command;
        ensure!(
            ended.success(),
            "kubectl keyloan {command} ended with {ended}"
        );
        let rows = std::fs::read_to_string(answer.path())?.lines().count();
        // The first line has the headings.
        ensure!(
            rows > question.rows,
            "kubectl keyloan {command} printed {rows} lines"
        );
        Ok(Cost { time, megabytes })
    }
}

fn questions(records: usize) -> Vec<Question> {
    let of_all = |what, command: &str, rows| Question {
        what,
        command: command.to_owned(),
        is_of_all: true,
        rows,
    };
    vec![
        of_all("all of it as CSV", "report -o csv", records),
        of_all("what ended late", "report -o csv --only late", 0),
        of_all("the newest, as a table", "report", 10),
        Question {
            what: "one person's",
            command: format!("report -o csv --requester {}", user(OTHERS % PEOPLE)),
            is_of_all: false,
            rows: records / PEOPLE,
        },
    ]
}
