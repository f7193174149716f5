//! An official client as a judge: a program that takes a step for each line of its input.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::steps::{About, Answer, FIELD, RECIPIENT, STRANGER, Scene, Step};

/// How long a step may take.
const STEP: Duration = Duration::from_secs(60);

/// A client that runs.
pub struct Client {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

/// A line of the client's output.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Reply {
    Answer(Value),
    Error(String),
}

impl Client {
    /// Starts the client. It ends when this is dropped.
    pub fn start(mut command: Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the client")?;
        Ok(Self {
            input: process.stdin.take().context("no input")?,
            output: BufReader::new(process.stdout.take().context("no output")?).lines(),
            _process: process,
        })
    }

    /// What the client and its core are.
    pub async fn about(&mut self) -> Result<About> {
        match self.ask(&json!({ "step": "about" })).await? {
            Reply::Answer(about) => Ok(serde_json::from_value(about)?),
            Reply::Error(why) => bail!("the client does not say what it is: {why}"),
        }
    }

    /// Takes a step. A share is answered by its link, which nobody may print.
    pub async fn take(&mut self, step: Step, scene: &Scene) -> Result<Answer> {
        let Scene {
            token,
            vault,
            vault_title,
            item,
            content,
            archived,
        } = scene;
        let share = |item: &str, recipient: &str| json!({ "step": "share", "vault": vault, "item": item, "recipient": recipient });
        let line = match step {
            Step::SignIn => json!({ "step": "signIn", "token": token }),
            Step::Vaults => json!({ "step": "vaults" }),
            Step::Items => json!({ "step": "items", "vault": vault }),
            Step::Item => json!({ "step": "item", "vault": vault, "item": item }),
            Step::Resolve => {
                let reference = format!("op://{vault_title}/{}/{FIELD}", content.title);
                json!({ "step": "resolve", "reference": reference })
            }
            Step::Policy => json!({ "step": "policy", "vault": vault, "item": item }),
            Step::Share => share(item, RECIPIENT),
            Step::ShareArchived => share(archived, RECIPIENT),
            Step::ShareStranger => share(item, STRANGER),
        };
        Ok(match self.ask(&line).await? {
            Reply::Answer(answer) => Answer::Said(answer),
            Reply::Error(words) => Answer::Refused(words),
        })
    }

    async fn ask(&mut self, line: &Value) -> Result<Reply> {
        let step = line["step"].as_str().unwrap_or_default();
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        let reply = tokio::time::timeout(STEP, self.output.next_line());
        let reply = reply
            .await
            .with_context(|| format!("the client did not answer in time ({step})"))??
            .with_context(|| format!("the client ended ({step}); its output is above"))?;
        serde_json::from_str(&reply)
            .with_context(|| format!("the client's answer is not understood ({step})"))
    }
}
