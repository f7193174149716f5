//! A measurement, to be run by hand: how much memory strangers can make the operator take. It prints figures and judges none.
//!
//! ```sh
//! cargo test --test e2e_strangers -- --ignored --nocapture
//! ```

#![allow(clippy::print_stdout, reason = "it is for people")]

use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use keyloan_cluster::{GLIBC_SETTINGS, Program, operator_program};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::world::{Ask, PLATFORM, TEAM, World};

/// So long the operator is left alone before its memory is read.
const SETTLED: Duration = Duration::from_secs(15);
/// A whole number of them is made each time.
const OBJECTS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: it takes minutes, and prints figures"]
async fn the_memory_that_strangers_can_make_the_operator_take() {
    let world = World::without_operator().await;
    let operator = Operator::start(&world);
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&grant).await;

    let mut before = operator.settled().await;
    println!("at rest: {before} kB");
    let mut tell = async |what: &str| {
        let after = operator.settled().await;
        println!("{what}: {:+} kB ({after} kB)", after - before);
        before = after;
    };
    fat_secrets(&world, PLATFORM).await;
    fat_secrets(&world, TEAM).await;
    tell("200 Secrets with our label and 1.3 MB of owners each").await;
    fat_namespaces(&world, 0..20).await;
    tell("20 namespaces with 1.3 MB of labels each").await;
    fat_namespaces(&world, 20..60).await;
    tell("40 more of them").await;

    let head = [
        b"GET /livez HTTP/1.1\r\nhost: x\r\n".as_slice(),
        &[b"x-a: ".as_slice(), &[b'a'; 4_000], b"\r\n"]
            .concat()
            .repeat(90),
    ]
    .concat();
    let slow = connect(&operator.health, 300, &head).await;
    tell("300 connections that each send 360 kB of a head without an end").await;
    drop(slow);
    let idle = connect(&operator.health, 1_100, b"").await;
    let live = reqwest::get(format!("http://{}/livez", operator.health)).await;
    println!("/livez meanwhile: {:?}", live.map(|answer| answer.status()));
    let grant = world.ask("alice", Ask::item("web console")).await;
    world.until_active(&grant).await;
    println!("lent meanwhile, at ulimit -n 1024");
    tell("1,100 connections that lie idle, and a loan").await;
    drop(idle);
    // The last ones: their maker has used up their own places in line.
    fat_requests(&world).await;
    tell("100 requests with 250 kB of annotations each").await;
}

async fn connect(address: &str, count: usize, says: &[u8]) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        // It may be closed before all has been sent.
        stream.write_all(says).await.ok();
        streams.push(stream);
    }
    streams
}

async fn fat_secrets(world: &World, namespace: &str) {
    let owner =
        json!({ "apiVersion": "v1", "kind": "Nope", "name": "x".repeat(1_300_000), "uid": "1" });
    let secret: Secret = object(json!({
        "metadata": {
            "generateName": "fat-", "labels": { "keyloan.dev/secret": "link" }, "ownerReferences": [owner],
        },
    }));
    let api: Api<Secret> = Api::namespaced(world.admin.clone(), namespace);
    for _ in 0..OBJECTS {
        api.create(&PostParams::default(), &secret)
            .await
            .expect("created");
    }
}

async fn fat_namespaces(world: &World, numbers: std::ops::Range<u32>) {
    let labels: Map<String, Value> = (0..15_000)
        .map(|n| (format!("example.com/label-{n}"), json!("x".repeat(60))))
        .collect();
    let labels = json!({ "metadata": { "labels": labels } });
    for n in numbers {
        let mut namespace = labels.clone();
        namespace["metadata"]["name"] = json!(format!("fat-{n}"));
        let api = Api::<Namespace>::all(world.admin.clone());
        api.create(&PostParams::default(), &object(namespace))
            .await
            .expect("created");
    }
}

async fn fat_requests(world: &World) {
    let note = "x".repeat(250_000);
    for _ in 0..OBJECTS {
        let ask = Ask::item("none such");
        let applied = "kubectl.kubernetes.io/last-applied-configuration";
        world.ask("alice", ask.annotated(applied, &note)).await;
    }
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("an object")
}

/// The operator as a process that may open 1,024 files.
struct Operator {
    program: Program,
    health: String,
    _folder: tempfile::TempDir,
}

impl Operator {
    fn start(world: &World) -> Self {
        let health = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .to_string();
        let program = operator_program(env!("CARGO_BIN_EXE_keyloan")).expect("the operator");
        let mut command = Command::new("sh");
        command
            .envs(GLIBC_SETTINGS)
            .args(["-c", "ulimit -n 1024; exec \"$@\"", "sh"])
            .arg(program)
            .args(world.operator_arguments())
            .args(["--listen", &health]);
        let folder = tempfile::tempdir().expect("a folder");
        let program = Program::start(&command, &folder.path().join("log")).expect("started");
        Self {
            program,
            health,
            _folder: folder,
        }
    }

    /// Its own memory, in kB: `RssAnon`.
    async fn settled(&self) -> i64 {
        tokio::time::sleep(SETTLED).await;
        let path = format!("/proc/{}/status", self.program.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes.and_then(|n| n.parse().ok()).expect("a number")
    }
}
