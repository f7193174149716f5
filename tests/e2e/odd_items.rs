//! Items as real vaults hold them: each is lent, or its request says once what to mend, and 1Password is not asked again and again.

use std::time::Duration;

use crate::world::{Ask, World, condition};
use keyloan::api::{ACCEPTED, ACTIVE, AccessGrant, FlowLimits};
use keyloan_simulator::account::Item;
use serde_json::{Value, json};

const POLICY: &str = "GET /api/v4/itemshare/preflight/{vault}/{item}";
const SHARE: &str = "POST /api/v4/itemshare";

fn item(title: &str, wire: Value) -> Item {
    let item = json!({ "title": title, "wire": wire, "fields": [{ "label": "password", "value": "x", "kind": "Concealed" }] });
    serde_json::from_value(item).expect("an item")
}

fn with_fields(fields: Vec<Value>) -> Item {
    let section = json!({ "name": "s", "title": "S", "fields": fields });
    item("odd", json!({ "details": { "sections": [section] } }))
}

fn field(id: &str, kind: &str) -> Value {
    json!({ "n": id, "k": kind, "t": id, "v": "x" })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_item_is_lent_or_its_request_says_once_what_to_mend() {
    let section = json!({ "name": "s", "title": "S", "fields": [] });
    let two_sections = json!({ "details": { "sections": [section, section] } });
    let archived = Item {
        archived: true,
        ..item("odd", Value::Null)
    };
    let many = (0..3000).map(|n| field(&n.to_string(), "string")).collect();
    let cases = [
        (item(&"t".repeat(300), Value::Null), None),
        (item("", Value::Null), None),
        (item("مرحبا \u{202e}密码", Value::Null), None),
        (with_fields(many), None),
        (
            with_fields(vec![field("a", "string"), field("a", "string")]),
            Some("the same id"),
        ),
        (item("odd", two_sections), Some("the same id")),
        (
            with_fields(vec![field("a", "quantum")]),
            Some("field of a type"),
        ),
        (
            item("odd", json!({ "item": { "templateUuid": "999" } })),
            Some("category"),
        ),
        (
            item("odd", json!({ "item": { "templateUuid": "006" } })),
            Some("does not accept its contents"),
        ),
        (archived, Some("archived")),
    ];

    let world = World::start().await;
    let mut ids = Vec::new();
    for (item, _) in &cases {
        ids.push(world.control.add_item("Infra", item).await.expect("put"));
    }
    world.integration("prod", "lender").await;
    let plenty = FlowLimits {
        active_per_requester: 100,
        pending_per_requester: 100,
    };
    world.flow("oncall", |flow| flow.limits = plenty).await;
    for (id, (_, mend)) in ids.iter().zip(&cases) {
        let grant = world.ask("alice", Ask::item(id)).await;
        match mend {
            None => drop(world.until_active(&grant).await),
            Some(words) => drop(world.until(&grant, says(words)).await),
        }
    }
    let shares = world.control.requests().await.expect("a log").count(SHARE);
    assert_eq!(shares, 4, "only what can be shared is asked for");

    // Half a day later, nothing was asked again: what cannot be shared is over.
    world.control.reset_requests().await.expect("a new log");
    world.advance(Duration::from_secs(12 * 3600)).await;
    let other = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&other).await;
    let requests = world.control.requests().await.expect("a log");
    assert_eq!(requests.count(POLICY), 1, "{:?}", requests.by_route);
}

/// Whether the request is over, with these words.
fn says(words: &'static str) -> impl Fn(&AccessGrant) -> bool {
    move |grant| {
        let said = [ACCEPTED, ACTIVE].map(|type_| condition(grant, type_));
        let mut said = said.into_iter().flatten();
        said.any(|c| c.status == "False" && c.message.contains(words))
    }
}
