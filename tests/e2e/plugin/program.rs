//! Running the program as people do, with their own kubeconfigs.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use keyloan::api::{AccessGrant, Phase};
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::page::Shown;
use crate::world::{TEAM, World};

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-keyloan");

/// What a run of the program has left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// What was printed, if it went well.
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    pub fn json(self) -> Value {
        let out = self.done();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }

    /// What was complained about, with this exit code.
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self.err
    }
}

/// The program with somebody's kubeconfig, named on the line.
pub fn keyloan(world: &World, who: &str, line: &[&str]) -> Command {
    let mut command = program();
    command
        .arg("--kubeconfig")
        .arg(world.cluster.kubeconfig(who))
        .args(line);
    command
}

/// The program where KUBECONFIG is this.
pub fn with_kubeconfig(kubeconfig: impl AsRef<OsStr>, line: &[&str]) -> Child {
    let mut command = program();
    command.args(line).env("KUBECONFIG", kubeconfig);
    command.spawn().expect("the program")
}

fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env_remove("KUBECONFIG")
        .env_remove("KEYLOAN_INTEGRATION")
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Somebody runs `kubectl keyloan` in the team's namespace; what hangs is a failure.
pub async fn run(world: &World, who: &str, line: &[&str]) -> Ran {
    let line = [line, &["-n", TEAM]].concat();
    let running = start(world, who, &line);
    ended(running, &line).await
}

/// Runs a command that a page shows. Its reader is slower than the operator: when this returns, every request has been looked at.
pub async fn run_shown(world: &World, shown: &Shown) -> Ran {
    let mut line: Vec<&str> = shown.line.iter().map(String::as_str).collect();
    // A reader's machine runs nothing else: there, each is counted within a second.
    if ["approve", "deny", "revoke"].contains(&line[0]) {
        line.push("--timeout=60s");
    }
    let kubeconfig = in_the_team(world, &shown.who);
    let ran = ended(with_kubeconfig(kubeconfig.path(), &line), &line).await;
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), TEAM);
    let all = grants.list(&ListParams::default()).await;
    for grant in all.expect("readable") {
        world.until(&grant, has_been_looked_at).await;
    }
    ran
}

/// Somebody's kubeconfig as people have it: with the team's namespace in its context, so that what they run, and are told to run, is short.
fn in_the_team(world: &World, who: &str) -> NamedTempFile {
    let text = std::fs::read_to_string(world.cluster.kubeconfig(who)).expect("a kubeconfig");
    let mut kubeconfig: Value = serde_json::from_str(&text).expect("JSON");
    kubeconfig["contexts"][0]["context"]["namespace"] = json!(TEAM);
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), kubeconfig.to_string()).expect("written");
    file
}

/// Whether the operator has said something about a request.
pub fn has_been_looked_at(grant: &AccessGrant) -> bool {
    let status = grant.status.as_ref();
    status.is_some_and(|s| match s.phase {
        None => false,
        Some(Phase::Pending) => s.waiting_for.is_some(),
        Some(_) => true,
    })
}

pub fn start(world: &World, who: &str, line: &[&str]) -> Child {
    keyloan(world, who, line).spawn().expect("the program")
}

/// Reads what a running program complains about until it has said this; returns that much.
pub async fn until_said(running: &mut Child, words: &str) -> String {
    let stderr = running.stderr.as_mut().expect("piped");
    let mut said = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&said).contains(words) {
            let read = stderr.read_buf(&mut said).await.expect("readable");
            let so_far = String::from_utf8_lossy(&said);
            assert!(read > 0, "it ended without saying {words:?}: {so_far}");
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), reading).await;
    let said = String::from_utf8(said).expect("text");
    assert!(in_time.is_ok(), "it does not say {words:?}: {said}");
    said
}

pub async fn ended(running: Child, line: &[&str]) -> Ran {
    let output = tokio::time::timeout(Duration::from_secs(90), running.wait_with_output());
    let output = output
        .await
        .unwrap_or_else(|_| panic!("{line:?} hangs"))
        .expect("it ran");
    Ran {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}
