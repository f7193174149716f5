//! Nothing leaks: what is secret in a whole run is in no output, no metric, no message, no report, no event, no status and in nothing
//! that etcd ever held, but for the one Secret that is there to carry it.

mod told;

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Stdio;

use self::told::Told;
use crate::world::{Ask, LINKS, PLATFORM, World, condition};
use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD};
use jiff::SignedDuration;
use keyloan::api::{ACCEPTED, ACTIVE, AccessGrant, RENEW_ANNOTATION, link_name};
use keyloan_cluster::operator_program;
use keyloan_simulator::{Fault, FaultKind};
use kube::ResourceExt as _;
use serde_json::Value;
use tokio::process::{Child, Command};

/// The account that 1Password is simulated with.
const ACCOUNT: &str = include_str!("../../dev/simulator/account.example.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_run_shows_no_token_no_item_and_no_link() {
    let mut world = World::without_operator().await;
    let operator = Operator::start(&world);
    let (told, of_receivers) = Told::start(&world).await;

    // A run with much that succeeds and much that fails, each with words of its own.
    let malformed = "ops_planted-malformed-token";
    world.token("broken", malformed).await;
    let its_secret = secret_in_etcd(PLATFORM, "broken-token");
    let mut planted = vec![Planted::new(
        "a malformed token",
        malformed,
        Some(&its_secret),
    )];
    planted.extend(of_receivers);
    world.create_integration("broken").await;
    assert_eq!(
        world.until_integration("broken", "False").await,
        "TokenMalformed"
    );
    world.integration("prod", "lender").await;
    planted.extend(secrets_of_token(
        &world.control.token("lender").await.expect("a token"),
    ));
    world
        .flow("oncall", |flow| {
            flow.grant.max_duration.0 = "4h".into();
            flow.limits.active_per_requester = 100;
        })
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
    let not_kept =
        |g: &AccessGrant| condition(g, ACTIVE).is_some_and(|c| c.reason == "LinkNotKept");
    world.until(&refused, not_kept).await;
    world.delete("alice", &refused).await;
    world.stop_echoing_secrets().await;
    planted.push(Planted::new("a link that was echoed", World::ECHOED, None));
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
    let first = read_url(&world, &grant).await;
    planted.extend(secrets_of_link(&first, &grant));
    // The first link is about to end, so the next one is put into the Secret in its place.
    world.backdate(&grant, SignedDuration::from_mins(55)).await;
    world
        .annotate(&grant, RENEW_ANNOTATION, &world.now().to_string())
        .await;
    let renewed = world
        .until(&grant, |g| {
            let link = g.status.as_ref().and_then(|s| s.link.as_ref());
            link.is_some_and(|l| l.sequence == 2)
        })
        .await;
    let next = read_url(&world, &renewed).await;
    assert_ne!(first, next, "the second link is another one");
    planted.extend(secrets_of_link(&next, &grant));
    let rotated = world.control.rotate_token("lender").await.expect("rotated");
    planted.extend(secrets_of_token(&rotated));
    world.token("prod", &rotated).await;
    let other = world.ask("alice", Ask::item("web console")).await;
    let other = world.until_active(&other).await;
    planted.extend(secrets_of_link(&read_url(&world, &other).await, &other));
    for value in [
        "correct-horse-battery-staple",
        "The primary, not the replica.",
        "tiger-stripe-window",
        "retired-long-ago",
    ] {
        assert!(ACCOUNT.contains(value), "no item holds {value}");
        planted.push(Planted::new("an item's content", value, None));
    }

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
    world.until_integration("prod", "True").await;
    let messages = told.everything(&grant).await;
    let mut output = operator.stop().await;
    assert!(
        output.contains("keyloan::audit"),
        "the audit log is there:\n{output}"
    );
    assert!(
        output.contains("all watches are synced"),
        "the output is the operator's:\n{output}"
    );
    assert!(
        metrics.contains("keyloan"),
        "the metrics are the operator's:\n{metrics}"
    );
    // An answer that cannot be read, of which the client of Kubernetes would quote all: here it has the token in it.
    world.wire().await.garble_secrets();
    let operator = Operator::start(&world);
    assert_eq!(
        world.until_integration("prod", "False").await,
        "SecretUnreadable"
    );
    let said = operator.stop().await;
    assert!(
        said.contains("could not read a token Secret"),
        "the answer was read:\n{said}"
    );
    output.push_str(&said);

    let reports = reports(&world).await;
    for secret in &planted {
        for (place, text) in [
            ("the operator's output", &output),
            ("its metrics", &metrics),
            ("a message", &messages),
            ("a report", &reports),
        ] {
            let what = &secret.what;
            assert!(!secret.is_in(text), "{what} is in {place}");
        }
    }
    // Events and statuses are in etcd, too.
    let mut found = BTreeSet::new();
    for revision in world.cluster.etcd_dump().await.expect("a dump") {
        // All that is looked for is text, whatever else is stored around it.
        let stored = revision.value.unwrap_or_default();
        let stored = String::from_utf8_lossy(&stored);
        for (number, secret) in planted.iter().enumerate() {
            if secret.is_in(&stored) {
                assert_eq!(
                    Some(&revision.key),
                    secret.carrier.as_ref(),
                    "where {} is in etcd, and where it belongs",
                    secret.what
                );
                found.insert(number);
            }
        }
    }
    // A malformed token, two tokens with four parts each, three links with their keys, five values of receivers: were one of them not
    // found where it belongs, this test would look at the wrong place, or not see what is in Base64 there, as the parts of a token are.
    let carried = planted.iter().enumerate();
    let (expected, missing): (Vec<_>, Vec<_>) = carried
        .filter(|(_, secret)| secret.carrier.is_some())
        .partition(|(number, _)| found.contains(number));
    let missing: Vec<_> = missing.iter().map(|(_, secret)| &secret.what).collect();
    assert_eq!((expected.len(), missing), (1 + 2 * 5 + 3 * 2 + 5, vec![]));
}

/// What an auditor reads, in every form.
async fn reports(world: &World) -> String {
    let mut all = String::new();
    for arguments in [
        &["report"][..],
        &["report", "-o", "csv"],
        &["report", "-o", "json"],
        &["exposed"],
        &["exposed", "-o", "json"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-keyloan"));
        command
            .arg("--kubeconfig")
            .arg(world.cluster.kubeconfig("admin"))
            .args(["-n", PLATFORM])
            .args(arguments);
        let ran = command.output().await.expect("the program");
        let text = String::from_utf8(ran.stdout).expect("text");
        assert!(text.contains("db password"), "{arguments:?}: {text}");
        all += &text;
    }
    all
}

#[test]
fn what_is_planted_is_found_in_base64_wherever_it_begins() {
    let planted = Planted::new("a value", "planted?value~", None);
    for before in ["", "a", "ab", "abc"] {
        for after in ["", "?", "z~"] {
            let text = format!("{before}planted?value~{after}");
            for encoding in [BASE64, BASE64URL, BASE64URL_NOPAD] {
                let encoded = encoding.encode(text.as_bytes());
                assert!(planted.is_in(&encoded), "{text} as {encoded}");
            }
        }
    }
    assert!(planted.is_in("it is planted?value~."));
    for another in ["planted?valve~", "blanted?value~"] {
        assert!(!planted.is_in(another));
        assert!(!planted.is_in(&BASE64.encode(another.as_bytes())));
    }
}

/// A value that must not be seen, but in the one place that is there to carry it.
struct Planted {
    what: String,
    /// The key in etcd of the Secret that is there to carry it, if one is.
    carrier: Option<String>,
    /// All that it may look like.
    forms: BTreeSet<String>,
}

impl Planted {
    fn new(what: &str, value: &str, carrier: Option<&str>) -> Self {
        let mut forms = in_base64(value);
        forms.insert(value.into());
        Self {
            what: what.into(),
            carrier: carrier.map(str::to_owned),
            forms,
        }
    }

    fn is_in(&self, text: &str) -> bool {
        self.forms.iter().any(|form| text.contains(form.as_str()))
    }
}

/// What a value looks like in Base64, as Secrets are on the wire and as tokens are made, wherever in the encoded text it begins: three
/// bytes are four characters, so there are three ways. Characters at its edges in which other bytes have a part are left out.
fn in_base64(value: &str) -> BTreeSet<String> {
    let after = |before: usize| {
        let bytes = [&b"\0\0"[..before], value.as_bytes()].concat();
        let own = (8 * before).div_ceil(6)..8 * bytes.len() / 6;
        [BASE64, BASE64URL].map(|encoding| encoding.encode(&bytes)[own.clone()].to_owned())
    };
    (0..3).flat_map(after).collect()
}

/// The token itself, and what is secret inside of it: that is in the token's Secret as well, in Base64.
fn secrets_of_token(token: &str) -> Vec<Planted> {
    let body = token.strip_prefix("ops_").expect("a token");
    let json = BASE64URL_NOPAD.decode(body.as_bytes()).expect("base64url");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    let carrier = secret_in_etcd(PLATFORM, "prod-token");
    let mut secrets = vec![Planted::new("a token", token, Some(&carrier))];
    for pointer in ["/secretKey", "/muk/k", "/srpX", "/throttleSecret/seed"] {
        let value = json
            .pointer(pointer)
            .and_then(Value::as_str)
            .expect(pointer);
        let what = format!("a token's {pointer}");
        secrets.push(Planted::new(&what, value, Some(&carrier)));
    }
    secrets
}

/// The URL of a grant's link itself, and the key in it.
fn secrets_of_link(url: &str, grant: &AccessGrant) -> [Planted; 2] {
    let (_, key) = url.split_once('#').expect("a key");
    let carrier = secret_in_etcd(LINKS, &link_name(&grant.uid().expect("one")));
    [("a link", url), ("a link's key", key)]
        .map(|(what, value)| Planted::new(what, value, Some(&carrier)))
}

fn secret_in_etcd(namespace: &str, name: &str) -> String {
    format!("/registry/secrets/{namespace}/{name}")
}

async fn read_url(world: &World, grant: &AccessGrant) -> String {
    let link = world.read_link("alice", grant).await;
    link.expect("readable").remove("url").expect("a URL")
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
            .args(Told::words())
            .args(["--listen", "127.0.0.1:0"])
            .args(["--listen-metrics", &address]);
        command.args(["--log-level", "debug,keyloan=trace"]);
        let said = tempfile::NamedTempFile::new().expect("a file");
        // Both end in one file, and neither may write over the other: the audit log is on standard output.
        let to_file = || {
            let file = File::options().append(true).open(said.path());
            Stdio::from(file.expect("a file"))
        };
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
