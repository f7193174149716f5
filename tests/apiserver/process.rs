//! The operator as a process: its arguments, logs, health, signals; and replicas that take turns.

use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{DEADLINE, World};
use futures::TryStreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use keyloan::operator::{Election, start};
use keyloan_cluster::{OPERATOR_NAMESPACE as SYSTEM, operator_program, signal};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

fn keyloan(arguments: &[&str]) -> Command {
    let program = operator_program(env!("CARGO_BIN_EXE_keyloan"));
    let mut command = Command::new(program.expect("the operator"));
    command
        .args(arguments)
        .env_clear()
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = keyloan(arguments).output().await.expect("a process");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[tokio::test]
async fn what_it_cannot_start_with_is_said_in_one_line() {
    let (code, says) = refused(&["run", "--core", "/nowhere/core.cwasm"]).await;
    assert_eq!(code, Some(1));
    assert!(says.contains("/nowhere/core.cwasm"), "{says}");
    let (code, says) = refused(&["run", "--core", "x", "--allow-origin", "somewhere"]).await;
    assert_eq!(code, Some(2));
    assert!(says.contains("is not an origin"), "{says}");
    let (code, says) = refused(&["run", "--core", "x", "--log-level", "loud=loud"]).await;
    assert_eq!(code, Some(1));
    assert!(says.contains("invalid log level"), "{says}");
    let (code, says) = refused(&["run", "--core", "x", "--namespaces", "team-a"]).await;
    assert_eq!(code, Some(2));
    assert!(says.contains("--links-namespace"), "{says}");
    let (code, says) = refused(&["run", "--core", "x", "--lease", "x"]).await;
    assert_eq!(code, Some(2));
    assert!(says.contains("NAMESPACE/NAME"), "{says}");
}

#[tokio::test]
async fn it_runs_until_it_is_told_to_stop() {
    let world = World::without_operator().await;
    let kubeconfig = world.plane.operator_kubeconfig().await;
    let kubeconfig = kubeconfig.expect("a file").display().to_string();
    let core = crate::support::compiled_core().await.display().to_string();
    let mut process = keyloan(&["run", "--log-format", "json", "--listen", "127.0.0.1:0"])
        .env("KEYLOAN_KUBECONFIG", kubeconfig)
        .env("KEYLOAN_CORE", core)
        // A proxy of the surroundings that is not for the cluster.
        .env("HTTPS_PROXY", "http://proxy.invalid:3128")
        .env("NO_PROXY", "127.0.0.1")
        .spawn()
        .expect("a process");
    let mut log = BufReader::new(process.stderr.take().expect("a pipe"));
    let health = health_address(&mut log).await;
    let ready = async {
        loop {
            let answer = reqwest::get(format!("http://{health}/readyz"))
                .await
                .expect("an answer");
            if answer.status().is_success() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ready).await.expect("ready");
    let id = process.id().expect("a process that runs");
    signal(id, "TERM").expect("told");
    let ended = tokio::time::timeout(DEADLINE, process.wait())
        .await
        .expect("an end");
    let mut rest = String::new();
    log.read_to_string(&mut rest).await.expect("the log");
    assert_eq!(ended.expect("a status").code(), Some(0), "{rest}");
    assert!(rest.contains("stopping"), "{rest}");
}

/// Reads the log, which is JSON in every line, until the operator says where it listens.
async fn health_address(log: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> String {
    let mut line = String::new();
    while log.read_line(&mut line).await.expect("a line") > 0 {
        let entry: Value = serde_json::from_str(&line).expect("JSON");
        if entry["message"] == "started" {
            let address = entry["health"].as_str().expect("an address");
            return address
                .trim_start_matches("Some(")
                .trim_end_matches(')')
                .to_owned();
        }
        line.clear();
    }
    panic!("it ended without having started");
}

#[tokio::test]
async fn of_two_replicas_one_leads_and_the_other_follows_at_once() {
    let world = World::without_operator().await;
    let replica = |identity: &str| {
        let election = Election {
            namespace: SYSTEM.into(),
            lease: "keyloan".into(),
            identity: identity.into(),
        };
        let mut settings = world.settings.clone();
        settings.election = Some(election);
        settings
    };
    let held_by = |identity: &'static str| {
        move |lease: &Lease| {
            let spec = lease.spec.as_ref();
            spec.and_then(|spec| spec.holder_identity.as_deref()) == Some(identity)
        }
    };
    let first = start(replica("first")).await.expect("an operator");
    world
        .wait(SYSTEM, "keyloan", "held by the first", held_by("first"))
        .await;
    let second = start(replica("second")).await.expect("an operator");
    world.put_flow("one", "prod", json!({})).await;
    world.flow("one", "False IntegrationNotFound").await;

    let leases = world.namespaced::<Lease>(SYSTEM);
    let only_ours = watcher::Config::default().fields("metadata.name=keyloan");
    let mut changes = pin!(watcher(leases, only_ours).applied_objects());
    let mut next = async || {
        let change = tokio::time::timeout(DEADLINE, changes.try_next());
        let change = change.await.expect("a change").expect("a watch");
        change.expect("another change")
    };
    assert!(held_by("first")(&next().await));
    first.stop().await.expect("no failure");
    let mut lease = next().await;
    while held_by("first")(&lease) {
        lease = next().await;
    }
    let holder = lease.spec.and_then(|spec| spec.holder_identity);
    assert_eq!(
        holder.unwrap_or_default(),
        "",
        "given back, not left to run out"
    );
    world
        .wait(SYSTEM, "keyloan", "held by the second", held_by("second"))
        .await;
    world.put_flow("two", "prod", json!({})).await;
    world.flow("two", "False IntegrationNotFound").await;
    second.stop().await.expect("no failure");
}
