//! The operator as a process: its arguments, logs, health, signals; and replicas that take turns.

use std::pin::pin;
use std::process::Stdio;

use crate::support::{DEADLINE, World};
use futures::TryStreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use keyloan::operator::{Election, start};
use keyloan_cluster::{OPERATOR_NAMESPACE as SYSTEM, operator_program, signal};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
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
    assert_eq!(says.matches("No such file").count(), 1, "{says}");
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
    let readiness = format!("http://{health}/readyz");
    let (code, says) = checked(&readiness, "60").await;
    assert_eq!(
        (code, &*says),
        (Some(0), &*format!("the operator at {readiness} is ready\n"))
    );
    let id = process.id().expect("a process that runs");
    signal(id, "TERM").expect("told");
    let ended = tokio::time::timeout(DEADLINE, process.wait())
        .await
        .expect("an end");
    let mut rest = String::new();
    log.read_to_string(&mut rest).await.expect("the log");
    assert_eq!(ended.expect("a status").code(), Some(0), "{rest}");
    assert!(rest.contains("stopping"), "{rest}");
    let (code, says) = checked(&readiness, "1").await;
    assert_eq!(code, Some(1));
    assert!(
        says.contains(&format!(
            "no operator answers at {readiness}: look at its pods"
        )),
        "{says}"
    );
}

/// The command that `helm test` runs in a pod, and its output.
async fn checked(address: &str, tries: &str) -> (Option<i32>, String) {
    let mut command = keyloan(&["check-health", address, "--tries", tries]);
    let output = command
        .stdout(Stdio::piped())
        .output()
        .await
        .expect("a process");
    let says = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&says).into_owned(),
    )
}

#[tokio::test]
async fn a_check_says_why_an_operator_is_not_ready_and_asks_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let address = format!("http://{address}/readyz");
    tokio::spawn(async move {
        for answer in [
            STILL_SYNCING,
            STILL_SYNCING,
            "200 OK\r\ncontent-length: 2\r\n\r\nok",
        ] {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                stream.read_line(&mut line).await.expect("a line");
            }
            let answer = format!("HTTP/1.1 {answer}");
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
    });
    let (code, says) = checked(&address, "1").await;
    assert_eq!(code, Some(1));
    let expected =
        format!("the operator at {address} is not ready (503 Service Unavailable): still syncing");
    assert!(says.contains(&expected), "{says}");
    assert_eq!(checked(&address, "2").await.0, Some(0));
}

const STILL_SYNCING: &str =
    "503 Service Unavailable\r\ncontent-length: 13\r\nconnection: close\r\n\r\nstill syncing";

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
