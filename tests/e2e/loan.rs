//! A loan from request to end, on real parts: the API server, the SDK core, the operator; only 1Password is simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::world::{Ask, PLATFORM, World, condition, labels};
use jiff::SignedDuration;
use k8s_openapi::api::events::v1::Event;
use keyloan::api::{
    ACCEPTED, ACTIVE, EndReason, FlowNamespaces, FromNamespaces, Phase, RENEW_ANNOTATION,
};
use keyloan_simulator::{ItemChanges, Reason};
use kube::{Api, ResourceExt as _};

const SHARE: &str = "POST /api/v4/itemshare";
const ITEM: &str = "GET /api/v1/vault/{vault}/item/{item}";

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_opens_for_its_recipient_alone_and_ends_when_it_is_deleted() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;

    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    let status = grant.status.clone().expect("a status");
    let link = status.link.clone().expect("a link");
    assert_eq!((status.phase, link.sequence), (Some(Phase::Active), 1));
    assert_eq!(
        status.expires_at.map(|t| t.0),
        status
            .granted_at
            .map(|t| t.0 + SignedDuration::from_hours(1))
    );

    let secret = world
        .read_link("alice", &grant)
        .await
        .expect("alice may read her link");
    assert_eq!(secret["sequence"], "1");
    assert_eq!(secret["expiresAt"], format!("{:.0}", link.expires_at.0));
    assert_eq!(secret["accessDetails"], "psql -h db.example.com");
    for other in ["mallory", "bob", "erin"] {
        let refused = world
            .read_link(other, &grant)
            .await
            .expect_err("nobody else may");
        assert!(refused.contains("Forbidden"), "{other}: {refused}");
    }

    let opened = world
        .control
        .open(&secret["url"], "alice@example.com")
        .await
        .expect("it opens for alice");
    assert_eq!(
        opened.value("password"),
        Some("correct-horse-battery-staple")
    );
    assert_eq!(opened.value("username"), Some("app"));
    assert_eq!(opened.value("host"), Some("db.example.com"));
    for other in ["mallory@example.com", "alice+x@example.com"] {
        let refusal = world
            .control
            .open(&secret["url"], other)
            .await
            .expect_err("not for others");
        assert_eq!(refusal.reason, Reason::WrongRecipient, "{other}");
    }

    world.delete("alice", &grant).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    let end = record.spec.end.clone().expect("an end");
    assert_eq!((end.reason, end.by), (EndReason::Deleted, None));
    assert_eq!(
        record.spec.residual_until, record.spec.links[0].expires_at,
        "the link that was handed out may still open"
    );
    world.until_link_gone(&grant).await;

    // The request is gone, so the event is about the record.
    let events: Api<Event> = Api::namespaced(world.admin.clone(), PLATFORM);
    let tells_the_end = |event: &Event| {
        let about = event.regarding.as_ref();
        let note = event.note.as_deref().unwrap_or_default();
        about.is_some_and(|about| about.uid == record.metadata.uid)
            && event.reason.as_deref() == Some("Deleted")
            && note.starts_with("the grant was deleted; an issued link may still open until")
    };
    world.until_listed(&events, tells_the_end).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_is_renewed_when_the_borrower_asks_and_expires_on_time() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("oncall", |flow| flow.grant.max_duration.0 = "4h".into())
        .await;
    let grant = world
        .ask("alice", Ask::item("db password").lasting("2h"))
        .await;
    let grant = world.until_active(&grant).await;
    let first = world.read_link("alice", &grant).await.expect("readable");

    // A link that is not about to end is not followed by another one, even if someone asks.
    world
        .annotate(&grant, RENEW_ANNOTATION, &world.now().to_string())
        .await;
    world.advance(Duration::from_secs(55 * 60)).await;
    world.control.reset_requests().await.expect("reset");
    world
        .annotate(&grant, RENEW_ANNOTATION, &world.now().to_string())
        .await;
    let renewed = world
        .until(&grant, |g| {
            g.status
                .as_ref()
                .is_some_and(|s| s.link.as_ref().is_some_and(|l| l.sequence == 2))
        })
        .await;
    // The session has expired in the meantime, so the item is asked for twice, with a sign-in in between.
    let log = world.control.requests().await.expect("log");
    let lending: BTreeMap<_, _> = log
        .by_route
        .iter()
        .filter(|(route, _)| !route.contains("/auth"))
        .collect();
    assert_eq!(
        lending,
        BTreeMap::from([(&ITEM.to_owned(), &2), (&SHARE.to_owned(), &1)]),
        "a renewal needs neither the policy nor the recipients checked again"
    );
    let second = world.read_link("alice", &renewed).await.expect("readable");
    assert_ne!(first["url"], second["url"]);
    world
        .control
        .open(&second["url"], "alice@example.com")
        .await
        .expect("the new link opens");

    // The second link ends at 1h55; the loan at 2h.
    world.advance(Duration::from_secs(61 * 60)).await;
    let waiting = world
        .until(&grant, |g| {
            condition(g, ACTIVE).is_some_and(|c| c.reason == "NoTimeForAnotherLink")
        })
        .await;
    assert_eq!(waiting.status.and_then(|s| s.phase), Some(Phase::Active));
    world.advance(Duration::from_secs(5 * 60)).await;
    let ended = world
        .until(&grant, |g| {
            g.status.as_ref().and_then(|s| s.phase) == Some(Phase::Ended)
        })
        .await;
    assert_eq!(
        condition(&ended, ACTIVE).map(|c| c.reason.as_str()),
        Some("Expired")
    );
    world.until_link_gone(&grant).await;
    let refusal = world
        .control
        .open(&second["url"], "alice@example.com")
        .await
        .expect_err("over");
    assert_eq!(refusal.reason, Reason::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_looked_at_again_when_its_namespace_is_labelled() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("oncall", |flow| {
            flow.namespaces = FlowNamespaces {
                from: FromNamespaces::Selector,
                selector: Some(labels("lends", "yes")),
            };
        })
        .await;
    let grant = world
        .ask("alice", Ask::item("db password").from("team-b"))
        .await;
    world
        .until(&grant, |g| {
            condition(g, ACCEPTED).is_some_and(|c| c.reason == "NoFlow")
        })
        .await;
    // No time passes by the operator's clock: nothing but the label wakes it.
    world.namespace("team-b", "yes").await;
    world.until_active(&grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_servers_log_tells_which_version_of_keyloan_did_what() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    let names = world.operators_user_agents();
    let expected = format!("keyloan/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(names.into_iter().collect::<Vec<_>>(), [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_servers_log_says_who_deleted_a_running_loan() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    world.delete("alice", &grant).await;
    world.until_record(&grant, |r| r.spec.end.is_some()).await;
    let said = world.audited().into_iter().filter_map(|event| {
        let said = &event["annotations"]["keyloan-grant-deletion/deleted"];
        said.as_str().map(str::to_owned)
    });
    let uid = grant.uid().expect("a uid");
    let expected =
        format!("alice@example.com deleted the request with uid {uid}, which was Active");
    assert_eq!(said.collect::<BTreeSet<_>>(), [expected].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_once_link_opens_once_and_the_loan_ends_with_it() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password").once()).await;
    let grant = world.until_active(&grant).await;
    let link = world.read_link("alice", &grant).await.expect("readable");
    world
        .control
        .open(&link["url"], "alice@example.com")
        .await
        .expect("the first view");
    let refusal = world
        .control
        .open(&link["url"], "alice@example.com")
        .await
        .expect_err("the second");
    assert_eq!(refusal.reason, Reason::UsedUp);
    world.advance(Duration::from_secs(61 * 60)).await;
    world.until_record(&grant, |r| r.spec.end.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_whose_item_was_changed_ends_instead_of_being_renewed() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("oncall", |flow| flow.grant.max_duration.0 = "4h".into())
        .await;
    let grant = world
        .ask("alice", Ask::item("db password").lasting("4h"))
        .await;
    let grant = world.until_active(&grant).await;
    let changes = ItemChanges {
        notes: Some("rotated".into()),
        ..ItemChanges::default()
    };
    world
        .control
        .edit_item("Infra", "db password", &changes)
        .await
        .expect("edited");
    world.advance(Duration::from_secs(55 * 60)).await;
    world
        .annotate(&grant, RENEW_ANNOTATION, &world.now().to_string())
        .await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(
        record.spec.end.map(|e| e.reason),
        Some(EndReason::ItemChanged)
    );
    assert_eq!(record.spec.links.len(), 1, "no link to the new version");
    world.until_link_gone(&grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_loan_survives_a_restart_without_a_request_and_ends_without_its_integration() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    let discovered = world.discovered_at("prod").await;
    world.advance(Duration::from_secs(5)).await;
    world.restart_operator().await;
    world.until_discovered_after("prod", discovered).await;
    world.control.reset_requests().await.expect("reset");
    world.remove_flow_and_integration("oncall", "prod").await;
    world.advance(Duration::from_secs(61 * 60)).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Expired));
    world.until_link_gone(&grant).await;
    assert_eq!(world.control.requests().await.expect("log").total, 0);
}
