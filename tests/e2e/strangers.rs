//! What people without any right of Keyloan's can make large, many or unreadable: it hides nothing and keeps nobody from borrowing.

mod measured;

use crate::world::{Ask, TEAM, World, condition, labels};
use keyloan::api::{ACCEPTED, FromNamespaces};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// So many requests are made until the watch must have told.
const TRIES: u32 = 100;

/// A person who can patch a namespace can write a time of the year 9999 into its managed fields,
/// which few clients can read.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_cannot_be_read_is_not_believed_to_be_as_it_was() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("oncall", |flow| {
            flow.namespaces.from = FromNamespaces::Selector;
            flow.namespaces.selector = Some(labels("lends", "yes"));
        })
        .await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&grant).await;

    let never = json!([{
        "manager": "m", "operation": "Update", "apiVersion": "v1", "time": "9999-12-31T23:59:59Z",
        "fieldsType": "FieldsV1", "fieldsV1": { "f:metadata": { "f:labels": { "f:kubernetes.io/metadata.name": {} } } },
    }]);
    label(&world, json!({ "managedFields": never })).await;
    let frozen = label(&world, json!({ "labels": { "lends": "no" } })).await;
    assert!(
        frozen["metadata"]["managedFields"]
            .to_string()
            .contains("9999")
    );
    let refused = until_refused(&world).await;
    assert_eq!(refused, "NoFlow", "the label is gone");

    // Nor does it hide the others, or itself, from an operator that starts.
    world.restart_operator().await;
    label(&world, json!({ "labels": { "lends": "yes" } })).await;
    until_lent(&world).await;

    // What is beyond the bound is unknown, and so in no flow that selects by label: "is not there" must not hold by that.
    let many: serde_json::Map<String, Value> = (0..2_000)
        .map(|n| (format!("example.com/label-{n}"), json!("x".repeat(60))))
        .collect();
    label(&world, json!({ "labels": many })).await;
    until_refused(&world).await;
    let fewer: serde_json::Map<String, Value> = many
        .into_iter()
        .map(|(key, _)| (key, Value::Null))
        .collect();
    label(&world, json!({ "labels": fewer })).await;
    until_lent(&world).await;
}

/// As the namespace's administrator; typed clients could not read the answer.
async fn label(world: &World, metadata: Value) -> Value {
    let patch = serde_json::to_vec(&json!({ "metadata": metadata })).expect("JSON");
    let request = http::Request::patch(format!("/api/v1/namespaces/{TEAM}"))
        .header("content-type", "application/merge-patch+json")
        .body(patch)
        .expect("a request");
    world.admin.request(request).await.expect("patched")
}

/// Asks until a request is refused: the watch tells of the namespace a moment later. Returns the reason.
async fn until_refused(world: &World) -> String {
    for _ in 0..TRIES {
        let grant = world.ask("alice", Ask::item("db password")).await;
        let looked_at = world
            .until(&grant, |g| condition(g, ACCEPTED).is_some())
            .await;
        let accepted = condition(&looked_at, ACCEPTED).expect("said").clone();
        world.delete("alice", &grant).await;
        if accepted.status == "False" {
            return accepted.reason;
        }
    }
    panic!("it keeps being lent");
}

async fn until_lent(world: &World) {
    for _ in 0..TRIES {
        let grant = world.ask("alice", Ask::item("db password")).await;
        let looked_at = world
            .until(&grant, |g| condition(g, ACCEPTED).is_some())
            .await;
        if condition(&looked_at, ACCEPTED).expect("said").status == "True" {
            world.until_active(&grant).await;
            return;
        }
        world.delete("alice", &grant).await;
    }
    panic!("it keeps being refused");
}

/// Every pod may be able to connect to the port of the probes.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_lie_idle_keep_nobody_from_borrowing_and_no_probe_from_its_answer() {
    let mut world = World::without_operator().await;
    world.settings.listen = Some(([127, 0, 0, 1], 0).into());
    world.restart_operator().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let address = world.health_address();
    let mut idle = Vec::new();
    for n in 0..300 {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        if n % 2 == 0 {
            let head = b"GET /livez HTTP/1.1\r\nhost: x\r\nx-1: ";
            stream.write_all(head).await.expect("sent");
        }
        idle.push(stream);
    }
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&grant).await;
    let live = reqwest::get(format!("http://{address}/livez")).await;
    assert_eq!(live.expect("an answer").status(), 200);
    drop(idle);
}
