//! Nothing leaks: what is secret in a whole run is in no output, no metric, no event, no status and in nothing that etcd ever held, but
//! for the Secrets that are there to carry it.

mod world;

use std::collections::BTreeSet;
use std::process::Stdio;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use keyloan::api::{ACCEPTED, ACTIVE, RENEW_ANNOTATION, link_name};
use keyloan_cluster::operator_program;
use keyloan_simulator::{Fault, FaultKind};
use kube::ResourceExt as _;
use serde_json::Value;
use tokio::process::{Child, Command};
use world::{Ask, World, condition};

/// The account that 1Password is simulated with.
const ACCOUNT: &str = include_str!("../dev/simulator/account.example.yaml");

/// A value that must not be seen, and what it is.
struct Planted {
    what: String,
    value: String,
    /// Whether there is a Secret that is there to carry it, as it is.
    has_a_secret: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_run_shows_no_token_no_item_and_no_link() {
    let world = World::without_operator().await;
    let operator = Operator::start(&world);

    // A run with much that succeeds and much that fails, each with words of its own.
    world.token("broken", "ops_planted-malformed-token").await;
    world.create_integration("broken").await;
    world.integration("prod", "lender").await;
    let mut planted = secrets_of_token(&world.control.token("lender").await.expect("a token"));
    world
        .flow("oncall", |flow| flow.grant.max_duration.0 = "4h".into())
        .await;
    for kind in [
        FaultKind::status(403),
        FaultKind::ResetAfterEffect,
        FaultKind::Garbage,
        FaultKind::status(500),
    ] {
        world
            .control
            .fault(Fault::once("POST /api/v4/itemshare", kind))
            .await
            .expect("ordered");
        let grant = world.ask("alice", Ask::item("db password")).await;
        world
            .until(&grant, |g| {
                condition(g, ACTIVE).is_some_and(|c| c.reason.starts_with("OnePassword"))
            })
            .await;
        world.delete("alice", &grant).await;
    }
    // Somebody's webhook or policy that tells all of the objects that it refuses.
    world.echo_secrets().await;
    let refused = world.ask("alice", Ask::item("db password")).await;
    world
        .until_refused(
            "create",
            "secrets",
            &link_name(&refused.uid().expect("one")),
        )
        .await;
    world.delete("alice", &refused).await;
    world.stop_echoing_secrets().await;
    planted.push(Planted {
        what: "a link that was echoed".into(),
        value: World::ECHOED.into(),
        has_a_secret: false,
    });
    let lost = world.ask("alice", Ask::item("no such item")).await;
    world
        .until(&lost, |g| {
            condition(g, ACCEPTED).is_some_and(|c| c.reason == "ItemNotFound")
        })
        .await;
    let grant = world
        .ask("alice", Ask::item("db password").lasting("2h"))
        .await;
    let grant = world.until_active(&grant).await;
    let link = world.read_link("alice", &grant).await.expect("readable");
    planted.extend(secrets_of_link(&link["url"]));
    world
        .annotate(&grant, RENEW_ANNOTATION, &world.now().to_string())
        .await;
    let rotated = world.control.rotate_token("lender").await.expect("rotated");
    planted.extend(secrets_of_token(&rotated));
    world.token("prod", &rotated).await;
    let second = world.ask("alice", Ask::item("web console")).await;
    let second = world.until_active(&second).await;
    let link = world.read_link("alice", &second).await.expect("readable");
    planted.extend(secrets_of_link(&link["url"]));
    for value in [
        "correct-horse-battery-staple",
        "The primary, not the replica.",
        "tiger-stripe-window",
        "retired-long-ago",
    ] {
        assert!(ACCOUNT.contains(value), "no item holds {value}");
        planted.push(Planted {
            what: "an item's content".into(),
            value: value.into(),
            has_a_secret: false,
        });
    }
    planted.push(Planted {
        what: "a malformed token".into(),
        value: "planted-malformed-token".into(),
        has_a_secret: true,
    });

    assert!(
        operator.limits().lines().any(|line| {
            let mut words = line
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>();
            words.truncate(6);
            words == ["Max", "core", "file", "size", "0", "0"]
        }),
        "a crash would write memory to a disk:\n{}",
        operator.limits()
    );
    let metrics = operator.metrics().await;
    world.delete("alice", &grant).await;
    world.until_record(&grant, |r| r.spec.end.is_some()).await;
    let output = operator.stop().await;
    assert!(
        output.contains("all objects are known"),
        "the output is the operator's:\n{output}"
    );
    assert!(
        metrics.contains("keyloan"),
        "the metrics are the operator's:\n{metrics}"
    );

    for Planted { what, value, .. } in &planted {
        for (place, text) in [("output", &output), ("metrics", &metrics)] {
            assert!(
                !text.contains(value.as_str()),
                "{what} is in the operator's {place}"
            );
        }
    }
    let mut found = BTreeSet::new();
    for revision in world.cluster.etcd_dump().await.expect("a dump") {
        let Some(stored) = revision.value else {
            continue;
        };
        let carries = revision.key.starts_with("/registry/secrets/keyloan/")
            || revision
                .key
                .starts_with("/registry/secrets/team-a/keyloan-link-");
        for Planted { what, value, .. } in &planted {
            let is_there = contains(&stored, value.as_bytes())
                || contains(
                    &stored,
                    BASE64
                        .encode(value.as_bytes())
                        .trim_end_matches('=')
                        .as_bytes(),
                );
            assert!(
                carries || !is_there,
                "{what} is in etcd at {}",
                revision.key
            );
            if is_there {
                found.insert(value);
            }
        }
    }
    // Two tokens, a malformed one, two links with their keys: were one of them not found, this test would look at the wrong place.
    let (mut expected, mut missing) = (0, Vec::new());
    for Planted { what, value, .. } in planted.iter().filter(|p| p.has_a_secret) {
        expected += 1;
        if !found.contains(value) {
            missing.push(what);
        }
    }
    assert_eq!((expected, missing), (7, vec![]), "found where they belong");
}

/// The token itself, and what is secret inside of it.
fn secrets_of_token(token: &str) -> Vec<Planted> {
    let body = token.strip_prefix("ops_").expect("a token");
    let json = BASE64URL_NOPAD.decode(body.as_bytes()).expect("base64url");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    let mut secrets = vec![Planted {
        what: "a token".into(),
        value: token.into(),
        has_a_secret: true,
    }];
    for pointer in ["/secretKey", "/muk/k", "/srpX", "/throttleSecret/seed"] {
        let value = json
            .pointer(pointer)
            .and_then(Value::as_str)
            .expect(pointer);
        secrets.push(Planted {
            what: format!("a token's {pointer}"),
            value: value.into(),
            has_a_secret: false,
        });
    }
    secrets
}

/// The URL itself, and the key in it.
fn secrets_of_link(url: &str) -> Vec<Planted> {
    let (_, key) = url.split_once('#').expect("a key");
    [("a link", url), ("a link's key", key)]
        .map(|(what, value)| Planted {
            what: what.into(),
            value: value.into(),
            has_a_secret: true,
        })
        .into()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// The operator as a process that says all it can. A test that fails shows it.
struct Operator {
    process: Child,
    address: String,
    said: tempfile::NamedTempFile,
}

impl Operator {
    fn start(world: &World) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a port")
            .port();
        let address = format!("127.0.0.1:{port}");
        let program = operator_program(env!("CARGO_BIN_EXE_keyloan"));
        let mut command = Command::new(program.expect("the operator"));
        command
            .args(world.operator_arguments())
            .args(["--listen", &address]);
        command.args(["--log-level", "debug,keyloan=trace"]);
        let said = tempfile::NamedTempFile::new().expect("a file");
        let to_file = || Stdio::from(said.reopen().expect("a file"));
        command
            .stdin(Stdio::null())
            .stdout(to_file())
            .stderr(to_file())
            .kill_on_drop(true);
        Self {
            process: command.spawn().expect("started"),
            address,
            said,
        }
    }

    /// The process's limits, as the kernel knows them.
    fn limits(&self) -> String {
        let id = self.process.id().expect("it runs");
        std::fs::read_to_string(format!("/proc/{id}/limits")).expect("readable")
    }

    async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.address);
        reqwest::get(url)
            .await
            .expect("an answer")
            .text()
            .await
            .expect("text")
    }

    /// Ends it, and returns all that it said.
    async fn stop(mut self) -> String {
        self.process.kill().await.expect("killed");
        self.output()
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.said.path()).expect("readable")).into_owned()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the operator said:\n{}", self.output());
        }
    }
}
