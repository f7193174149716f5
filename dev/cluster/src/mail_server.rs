//! A real mail server (aiosmtpd) for tests, which keeps what it receives. Needs Python with pip.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::packages::{PackagesError, python_packages};

const REQUIREMENTS: &str = include_str!("../mail/requirements.txt");
const SERVER: &str = include_str!("../mail/server.py");

/// Only a failure takes so long.
const WITHIN: Duration = Duration::from_secs(30);

/// What a mail server is like.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MailServerOptions<'a> {
    /// `StartTLS`, `TLS`, or `None`.
    pub security: &'a str,
    /// The file of its certificate in PEM.
    pub certificate: &'a Path,
    /// The file of its key in PEM.
    pub key: &'a Path,
    /// The user and the password; without them, it asks for none.
    pub credentials: Option<(&'a str, &'a str)>,
    /// The recipients whom it refuses, with its answers, such as `550 no such user`.
    pub refuses: BTreeMap<&'a str, &'a str>,
    /// The answer to each message, if it refuses them. `{message}` stands for the message.
    pub refuses_messages: Option<&'a str>,
}

/// A message that the server received.
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    /// The sender in the envelope.
    pub from: String,
    /// The recipients in the envelope.
    pub to: Vec<String>,
    /// The user who signed in.
    pub user: Option<String>,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// The headers and the body.
    pub content: String,
}

/// Why there is no mail server.
#[derive(Debug, thiserror::Error)]
pub enum MailServerError {
    /// Its packages are missing.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// It cannot be started, or its output cannot be read.
    #[error("the mail server does not run: {0}")]
    Run(#[from] io::Error),
    /// It printed something else.
    #[error("the mail server's output is not understood: {0}")]
    Output(#[from] serde_json::Error),
    /// It says nothing.
    #[error("the mail server printed nothing in time, or has ended")]
    Silent,
}

/// A mail server that runs until it is dropped.
pub struct MailServer {
    port: u16,
    output: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

#[derive(Deserialize)]
struct Listening {
    port: u16,
}

impl MailServer {
    /// Starts a mail server on the loopback, at a free port.
    pub async fn start(options: &MailServerOptions<'_>) -> Result<Self, MailServerError> {
        let packages = python_packages("aiosmtpd", REQUIREMENTS)?;
        let mut process = Command::new("python3")
            .args(["-c", SERVER, &serde_json::to_string(options)?])
            .env("PYTHONPATH", packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or(MailServerError::Silent)?;
        let mut server = Self {
            port: 0,
            output: BufReader::new(output).lines(),
            _process: process,
        };
        server.port = serde_json::from_str::<Listening>(&server.line().await?)?.port;
        Ok(server)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the next message. They come in the order in which the server received them.
    pub async fn next_mail(&mut self) -> Result<Mail, MailServerError> {
        Ok(serde_json::from_str(&self.line().await?)?)
    }

    async fn line(&mut self) -> Result<String, MailServerError> {
        let line = tokio::time::timeout(WITHIN, self.output.next_line()).await;
        line.map_err(|_| MailServerError::Silent)??
            .ok_or(MailServerError::Silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_has_a_checksum_and_comes_from_no_named_host() {
        let requirements: Vec<&str> = REQUIREMENTS.split("==").skip(1).collect();
        assert_eq!(requirements.len(), 3);
        for requirement in requirements {
            assert!(requirement.contains("--hash=sha256:"), "{requirement}");
        }
        assert!(!REQUIREMENTS.contains("://"));
    }
}
