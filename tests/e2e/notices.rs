//! Notices and the audit log, on real parts: the operator tells a receiver over HTTPS, and the test reads what arrives.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{AccessGrant, AccessNotifier, DELIVERING, READY};
use keyloan::network::AllowedHosts;
use keyloan::telemetry::Audit;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::receiver::{Answer, Received, Receiver};
use crate::world::{Ask, PLATFORM, Say, World, needs_approval};

const KEY: &str = "c2l4dGVlbi10aW1lcy10d28tYnl0ZXMtb2Yta2V5IQ==";

/// A world whose operator may send to the loopback, and trusts the receiver's authority.
async fn world() -> World {
    let mut world = World::without_operator().await;
    let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/private-ca/ca.pem");
    world.settings.core_options.network.ca_bundle = Some(authority);
    world.settings.notice_hosts = AllowedHosts::parse(&["localhost".into()], &[]).expect("a host");
    world.restart_operator().await;
    world
}

/// The Secret of a notifier, for it alone.
async fn secret(world: &World, notifier: &str, labels: Value, url: &str) {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": format!("{notifier}-hook"), "namespace": PLATFORM, "labels": labels },
        "stringData": { "url": url, "signing": format!("whsec_{KEY}") },
    });
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), PLATFORM);
    let params = PatchParams::apply("platform-team").force();
    let name = format!("{notifier}-hook");
    let applied = secrets.patch(&name, &params, &Patch::Apply(&secret)).await;
    applied.expect("applied");
}

async fn notifier(world: &World, name: &str, more: Value) -> AccessNotifier {
    let mut spec = json!({
        "secretRef": { "name": format!("{name}-hook") },
        "webhook": { "signingKeys": ["signing"] },
    });
    let members = spec.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    let spec = serde_json::from_value(spec).expect("a notifier");
    let api: Api<AccessNotifier> = Api::namespaced(world.admin.clone(), PLATFORM);
    let made = api
        .create(&PostParams::default(), &AccessNotifier::new(name, spec))
        .await;
    made.expect("created")
}

fn own(name: &str) -> Value {
    json!({ "keyloan.dev/secret": "notifier", "keyloan.dev/notifier": name })
}

/// A notifier that tells this receiver everything.
async fn tells(world: &World, name: &str, receiver: &Receiver) {
    secret(world, name, own(name), &receiver.url("/hook/s3cret")).await;
    notifier(world, name, json!({})).await;
    until(world, name, |n| condition(n, READY) == "True Ready").await;
}

/// An integration, and a flow by which one of security has to agree.
async fn lends_if_security_agrees(world: &World) {
    world.integration("prod", "lender").await;
    let rule = needs_approval("AllOf", &[("security", "security", 1)]);
    world.flow("oncall", rule).await;
}

/// Waits until a notifier's status is like this.
async fn until(
    world: &World,
    name: &str,
    is_so: impl Fn(&AccessNotifier) -> bool,
) -> AccessNotifier {
    let api: Api<AccessNotifier> = Api::namespaced(world.admin.clone(), PLATFORM);
    world
        .until_listed(&api, |n: &AccessNotifier| n.name_any() == name && is_so(n))
        .await;
    api.get(name).await.expect("there")
}

fn condition(notifier: &AccessNotifier, type_: &str) -> String {
    let conditions = notifier.status.as_ref().map_or(&[][..], |s| &s.conditions);
    let found = conditions.iter().find(|c| c.type_ == type_);
    found.map_or_else(String::new, |c| format!("{} {}", c.status, c.reason))
}

/// The events that a receiver has taken, of one grant.
fn events(receiver: &Receiver, grant: &AccessGrant) -> Vec<Value> {
    let uid = grant.uid().expect("a uid");
    let events = receiver.received();
    let events = events
        .iter()
        .map(|received| serde_json::from_str(&received.body).expect("JSON"));
    events
        .filter(|event: &Value| event["data"]["grant"]["uid"] == uid.as_str())
        .collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    let types = events.iter().filter_map(|event| event["type"].as_str());
    types
        .map(|kind| kind.trim_start_matches("dev.keyloan."))
        .collect()
}

/// Waits until a receiver has got an event of this type about a grant.
async fn until_told(receiver: &Receiver, grant: &AccessGrant, kind: &str) -> Vec<Value> {
    for _ in 0..600 {
        let events = events(receiver, grant);
        if types(&events).contains(&kind) {
            return events;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not told {kind}: {:?}", types(&events(receiver, grant)));
}

/// Alice asks, and the request waits for approval.
async fn asked(world: &World) -> AccessGrant {
    let grant = world.ask("alice", Ask::item("db password")).await;
    let has_terms = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.digest.is_some());
    world.until(&grant, has_terms).await
}

/// Alice asks, and carol agrees.
async fn lent(world: &World) -> AccessGrant {
    let grant = asked(world).await;
    world.decide("carol", &grant, Say::approve(&grant)).await;
    world.until_active(&grant).await
}

fn is_signed(received: &Received) -> bool {
    let header = |name: &str| received.headers[name].to_str().expect("text").to_owned();
    let signed = format!(
        "{}.{}.{}",
        header("webhook-id"),
        header("webhook-timestamp"),
        received.body
    );
    let key = BASE64_STANDARD.decode(KEY).expect("base64");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
    header("webhook-signature") == format!("v1,{}", BASE64_STANDARD.encode(tag))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_hears_of_each_step_of_a_loan_in_order_and_signed() {
    let world = world().await;
    let receiver = Receiver::start().await;
    lends_if_security_agrees(&world).await;
    tells(&world, "siem", &receiver).await;

    let grant = lent(&world).await;
    world.delete("alice", &grant).await;
    let told = until_told(&receiver, &grant, "ended").await;

    let expected = ["requested", "decided", "approved", "link-issued", "ended"];
    assert_eq!(types(&told), expected);
    let issued = &told[3]["data"];
    assert_eq!(issued["requester"]["username"], "alice@example.com");
    assert_eq!(issued["item"]["title"], "db password");
    assert_eq!(issued["link"]["sequence"], 1);
    assert_eq!(told[4]["data"]["end"]["reason"], "Deleted");
    assert!(receiver.received().iter().all(is_signed));
    let all = format!("{:?}", receiver.received());
    assert!(
        !all.contains("share.") && !all.contains("correct-horse"),
        "{all}"
    );

    let done = until(&world, "siem", |n| {
        let status = n.status.as_ref();
        let is_delivering = condition(n, DELIVERING) == "True Delivering";
        status.is_some_and(|s| s.backlog == Some(0)) && is_delivering
    })
    .await;
    assert_eq!(condition(&done, DELIVERING), "True Delivering");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_receiver_missed_comes_later_and_a_restart_repeats_nothing() {
    let mut world = world().await;
    let receiver = Receiver::start().await;
    lends_if_security_agrees(&world).await;
    tells(&world, "siem", &receiver).await;
    for _ in 0..3 {
        receiver.answer_next(Answer::With(503, Vec::new(), "not now"));
    }

    let grant = lent(&world).await;
    let failing = until(&world, "siem", |n| {
        condition(n, DELIVERING) == "False DeliveryFails"
    })
    .await;
    let error = failing.status.and_then(|s| s.last_error).expect("an error");
    assert!(
        error.message.contains("503") && !error.message.contains("s3cret"),
        "{}",
        error.message
    );
    // Nobody else is held up.
    world.opens_for("alice", &grant).await;
    world.restart_operator().await;
    let told = until_told(&receiver, &grant, "link-issued").await;
    let after_failures = &types(&told)[..];
    let expected = ["requested", "decided", "approved", "link-issued"];
    assert!(after_failures.ends_with(&expected), "{after_failures:?}");

    world.stop_operator().await;
    world.restart_operator().await;
    world.delete("alice", &grant).await;
    let later = until_told(&receiver, &grant, "ended").await;
    assert_eq!(later.len(), told.len() + 1, "{:?}", types(&later));
}

/// Somebody decides on it long after its end, so its record is read once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_loan_that_was_over_before_a_restart_is_not_told_again() {
    let mut world = world().await;
    let receiver = Receiver::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    tells(&world, "siem", &receiver).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    world.decide("alice", &grant, Say::revoke(&grant)).await;
    until_told(&receiver, &grant, "ended").await;
    world.advance(Duration::from_secs(2 * 3600)).await;
    until_told(&receiver, &grant, "links-over").await;
    until(&world, "siem", |n| {
        let status = n.status.as_ref();
        status.is_some_and(|s| s.backlog == Some(0) && s.told.len() <= 1)
    })
    .await;
    let before = events(&receiver, &grant).len();

    world.restart_operator().await;
    world.decide("alice", &grant, Say::revoke(&grant)).await;
    let has_ignored = |g: &AccessGrant| {
        let status = g.status.as_ref();
        status.is_some_and(|s| !s.ignored_decisions.is_empty())
    };
    world.until(&grant, has_ignored).await;
    let other = world.ask("alice", Ask::item("db password")).await;
    until_told(&receiver, &other, "link-issued").await;
    assert_eq!(events(&receiver, &grant).len(), before);
}

/// The request waits while the operator restarts, and while the notifier is changed; later steps are
/// told, and the request changes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_is_recalled_once_whatever_happens_meanwhile() {
    let mut world = world().await;
    let receiver = Receiver::start().await;
    lends_if_security_agrees(&world).await;
    secret(&world, "siem", own("siem"), &receiver.url("/")).await;
    notifier(&world, "siem", json!({ "remindAfter": "20m" })).await;
    let grant = asked(&world).await;
    until_told(&receiver, &grant, "requested").await;
    world.restart_operator().await;
    world.advance(Duration::from_secs(21 * 60)).await;
    until_told(&receiver, &grant, "reminder").await;

    world.advance(Duration::from_secs(30 * 60)).await;
    let other = asked(&world).await;
    until_told(&receiver, &other, "requested").await;
    world.decide("erin", &grant, Say::approve(&grant)).await;
    let has_ignored = |g: &AccessGrant| {
        let status = g.status.as_ref();
        status.is_some_and(|s| !s.ignored_decisions.is_empty())
    };
    world.until(&grant, has_ignored).await;
    world.decide("carol", &grant, Say::deny(&grant)).await;
    let told = until_told(&receiver, &grant, "denied").await;
    let ids: BTreeSet<_> = told.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 4, "{ids:?}");
    let recalled = types(&told)
        .iter()
        .filter(|kind| **kind == "reminder")
        .count();
    assert_eq!(recalled, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifier_that_begins_to_recall_recalls_what_waits_already() {
    let world = world().await;
    let receiver = Receiver::start().await;
    lends_if_security_agrees(&world).await;
    tells(&world, "siem", &receiver).await;
    let grant = asked(&world).await;
    until_told(&receiver, &grant, "requested").await;
    let api: Api<AccessNotifier> = Api::namespaced(world.admin.clone(), PLATFORM);
    let change = Patch::Merge(json!({ "spec": { "remindAfter": "10m" } }));
    let changed = api.patch("siem", &PatchParams::default(), &change).await;
    let generation = changed.expect("changed").metadata.generation;
    until(&world, "siem", |n| {
        n.status
            .as_ref()
            .is_some_and(|s| s.observed_generation == generation)
    })
    .await;
    world.advance(Duration::from_secs(11 * 60)).await;
    until_told(&receiver, &grant, "reminder").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_the_notifiers_is_not_read() {
    let world = world().await;
    let receiver = Receiver::start().await;
    secret(&world, "siem", own("other"), &receiver.url("/")).await;
    notifier(&world, "siem", json!({})).await;
    until(&world, "siem", |n| {
        condition(n, READY) == "False SecretOfAnotherNotifier"
    })
    .await;
    secret(
        &world,
        "siem",
        json!({ "keyloan.dev/secret": "token" }),
        &receiver.url("/"),
    )
    .await;
    until(&world, "siem", |n| {
        condition(n, READY) == "False SecretNotLabelled"
    })
    .await;
    secret(
        &world,
        "siem",
        own("siem"),
        "http://plain.example.com/s3cret",
    )
    .await;
    let unusable = until(&world, "siem", |n| {
        condition(n, READY) == "False SecretUnusable"
    })
    .await;
    assert!(!format!("{:?}", unusable.status).contains("s3cret"));
    secret(&world, "siem", own("siem"), &receiver.url("/")).await;
    until(&world, "siem", |n| condition(n, READY) == "True Ready").await;
}

/// A person who may change notifiers, and not read Secrets, sends another's password to a host of
/// theirs: without the policy, the API server does not keep them from it.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_policies_are_not_in_force_a_changed_notifier_is_used_as_it_was() {
    let world = world().await;
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    lends_if_security_agrees(&world).await;
    tells(&world, "siem", &receiver).await;
    let running = lent(&world).await;
    enforce(&world, "Audit").await;
    world.until_integration("prod", "False").await;
    secret(&world, "siem", own("siem"), &other.url("/")).await;
    until(&world, "siem", |n| {
        condition(n, READY) == "False BoundaryNotInForce"
    })
    .await;
    world.delete("alice", &running).await;
    until_told(&receiver, &running, "ended").await;

    enforce(&world, "Deny").await;
    until(&world, "siem", |n| condition(n, READY) == "True Ready").await;
    let grant = asked(&world).await;
    until_told(&other, &grant, "requested").await;
    assert_eq!(events(&receiver, &grant).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_policies_are_not_in_force_no_change_decides_what_is_told() {
    let world = world().await;
    let receiver = Receiver::start().await;
    lends_if_security_agrees(&world).await;
    tells(&world, "siem", &receiver).await;
    let running = lent(&world).await;
    enforce(&world, "Audit").await;
    world.until_integration("prod", "False").await;
    let (secret, other) = (json!("siem-hook"), json!("another"));
    change(
        &world,
        json!({ "secretRef": { "name": other }, "events": ["Lapsed"] }),
    )
    .await;
    until(&world, "siem", |n| {
        condition(n, READY) == "False SecretMissing"
    })
    .await;
    world.delete("alice", &running).await;
    world.until_record(&running, |r| r.spec.end.is_some()).await;

    change(
        &world,
        json!({ "secretRef": { "name": secret }, "events": null }),
    )
    .await;
    enforce(&world, "Deny").await;
    until_told(&receiver, &running, "ended").await;
}

/// Changes the notifier `siem`.
async fn change(world: &World, spec: Value) {
    let api: Api<AccessNotifier> = Api::namespaced(world.admin.clone(), PLATFORM);
    let change = Patch::Merge(json!({ "spec": spec }));
    let changed = api.patch("siem", &PatchParams::default(), &change).await;
    changed.expect("changed");
}

/// Has the API server refuse, or only note, what the policy of notifiers forbids.
async fn enforce(world: &World, actions: &str) {
    let api: Api<ValidatingAdmissionPolicyBinding> = Api::all(world.admin.clone());
    let change = Patch::Merge(json!({ "spec": { "validationActions": [actions] } }));
    let by = PatchParams::default();
    let changed = api.patch("keyloan-notifier", &by, &change).await;
    changed.expect("changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_in_the_cluster_is_refused_unless_the_chart_allows_it() {
    let mut world = world().await;
    world.settings.notice_hosts = AllowedHosts::default();
    world.restart_operator().await;
    let receiver = Receiver::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    tells(&world, "siem", &receiver).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&grant).await;
    let refused = until(&world, "siem", |n| {
        condition(n, DELIVERING) == "False DeliveryFails"
    })
    .await;
    let error = refused.status.and_then(|s| s.last_error).expect("an error");
    assert!(
        error.message.contains("notifications.allow"),
        "{}",
        error.message
    );
    assert_eq!(receiver.received().len(), 0);
}

/// Where a test reads the audit log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_has_a_line_for_each_step_also_of_what_came_to_nothing() {
    let mut world = World::without_operator().await;
    let lines = Lines::default();
    world.settings.audit = Audit::to(lines.clone());
    world.restart_operator().await;
    lends_if_security_agrees(&world).await;
    let grant = asked(&world).await;
    world.decide("erin", &grant, Say::approve(&grant)).await;
    world
        .until(&grant, |g| {
            g.status
                .as_ref()
                .is_some_and(|s| !s.ignored_decisions.is_empty())
        })
        .await;
    world.decide("carol", &grant, Say::deny(&grant)).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.ignored_decisions.len(), 1);
    let hopeless = world.ask("erin", Ask::item("db password")).await;
    world
        .until(&hopeless, |g| {
            g.status.as_ref().is_some_and(|s| !s.conditions.is_empty())
        })
        .await;

    let read = || {
        let text = String::from_utf8(lines.0.lock().expect("whole").clone()).expect("text");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        lines.collect::<Vec<Value>>()
    };
    let of = |grant: &AccessGrant| {
        let uid = grant.uid().expect("a uid");
        let told = read().into_iter();
        told.filter(|line| line["data"]["grant"]["uid"] == uid.as_str())
            .collect::<Vec<_>>()
    };
    for _ in 0..100 {
        if types(&of(&grant)).contains(&"denied") && types(&of(&hopeless)).contains(&"failed") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let told = of(&grant);
    assert_eq!(
        types(&told),
        [
            "asked",
            "requested",
            "decision-ignored",
            "decided",
            "denied"
        ]
    );
    assert!(
        told.iter()
            .all(|line| line["target"] == "keyloan::audit" && line["specversion"] == "1.0")
    );
    assert_eq!(told[4]["data"]["decision"]["user"], "carol@example.com");
    assert_eq!(types(&of(&hopeless)), ["asked", "failed"]);
    let ids: std::collections::BTreeSet<_> =
        told.iter().map(|line| line["id"].to_string()).collect();
    assert_eq!(ids.len(), told.len());
}
