//! The simulator's own functions: control API, clock, log, start and stop.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::rfc2822::DateTimeParser;
use keyloan_simulator::account::{Right, ServiceAccount};
use keyloan_simulator::{
    Control, ControlError, Fault, FaultKind, ItemChanges, Options, Simulator, StartError,
};

use crate::core::Core;
use crate::{FINANCE, INFRA, PASSWORD, World, account};

fn refused(result: Result<impl std::fmt::Debug, ControlError>) -> u16 {
    match result {
        Err(ControlError::Refused { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn orders_that_name_nothing_are_refused() {
    let world = World::start();
    let control = &world.control;
    assert_eq!(refused(control.token("nobody").await), 404);
    assert_eq!(refused(control.rotate_token("nobody").await), 404);
    assert_eq!(refused(control.revoke_token("nobody").await), 404);
    let changes = ItemChanges::default();
    assert_eq!(
        refused(control.edit_item("Infra", "nothing", &changes).await),
        404
    );
    assert_eq!(
        refused(control.remove_item("Nowhere", "db password").await),
        404
    );
    let fault = Fault::once("GET /api/v1/vault", FaultKind::Hang);
    assert_eq!(refused(control.fault(fault).await), 400);
    let fault = Fault::once("*", FaultKind::status(42));
    assert_eq!(refused(control.fault(fault).await), 400);
    assert!(matches!(
        Control::new("127.0.0.1:80"),
        Err(ControlError::BadOrigin(_))
    ));
}

#[tokio::test]
async fn items_come_change_and_go() {
    let world = World::start();
    let item = account().vaults[0].items[0].clone();
    let twin = keyloan_simulator::account::Item {
        id: None,
        ..item.clone()
    };
    assert_eq!(
        refused(world.control.add_item("Infra", &item).await),
        400,
        "its id is taken"
    );
    let id = world.control.add_item("Infra", &twin).await.unwrap();
    let changes = ItemChanges::default();
    let ambiguous = world
        .control
        .edit_item("Infra", "db password", &changes)
        .await;
    assert_eq!(refused(ambiguous), 404, "two of one title");
    let title = Some("a / strange + title?".to_owned());
    let changes = ItemChanges {
        title,
        ..ItemChanges::default()
    };
    world
        .control
        .edit_item("Infra", &id, &changes)
        .await
        .unwrap();
    world
        .control
        .remove_item("Infra", "a / strange + title?")
        .await
        .unwrap();
    let vaults = world.control.vaults().await.unwrap();
    assert_eq!(vaults[0].items.len(), 2);
    assert_eq!(
        (&*vaults[0].items[0].id, vaults[0].items[0].version),
        (PASSWORD, 1)
    );
    assert!(vaults[0].items[1].archived);
}

#[tokio::test]
async fn service_accounts_can_be_added_and_given_other_rights() {
    let world = World::start();
    let rights = |vault: &str, right| ServiceAccount {
        name: "new one".into(),
        vaults: [(vault.to_owned(), vec![right])].into(),
    };
    world
        .control
        .set_service_account(&rights("Infra", Right::Read))
        .await
        .unwrap();
    let mut core = world.signed_in("new one").await;
    assert_eq!(
        core.get(&format!("/api/v3/vault/{INFRA}")).await.status,
        200
    );
    world
        .control
        .set_service_account(&rights(FINANCE, Right::Read))
        .await
        .unwrap();
    assert_eq!(
        core.get(&format!("/api/v3/vault/{INFRA}")).await.status,
        403,
        "at once"
    );
    assert_eq!(
        core.get(&format!("/api/v3/vault/{FINANCE}")).await.status,
        200
    );
    let nowhere = world
        .control
        .set_service_account(&rights("Nowhere", Right::Read))
        .await;
    assert_eq!(refused(nowhere), 404);
}

#[tokio::test]
async fn answers_carry_the_time_of_the_simulator() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let time = |date: &str| DateTimeParser::new().parse_timestamp(date).unwrap();
    let before = time(&core.get("/api/v1/vaults").await.date);
    world
        .control
        .advance_clock(Duration::from_secs(1000))
        .await
        .unwrap();
    let after = time(&core.get("/api/v1/vaults").await.date);
    assert!(after.duration_since(before) >= SignedDuration::from_secs(1000));
    world
        .control
        .turn_clock_back(Duration::from_secs(5000))
        .await
        .unwrap();
    let back = time(&core.get("/api/v1/vaults").await.date);
    assert!(before.duration_since(back) >= SignedDuration::from_secs(3900));
    let now = world.control.now().await.unwrap();
    assert!(now.duration_since(back) < SignedDuration::from_secs(60));
}

#[tokio::test]
async fn the_log_counts_by_route_and_names_who_asked_and_why_not() {
    let world = World::start();
    let mut core = world.signed_in("reader").await;
    world.control.reset_requests().await.unwrap();
    core.get(&format!("/api/v3/vault/{INFRA}")).await;
    core.get(&format!("/api/v3/vault/{FINANCE}")).await;
    world
        .control
        .fault(Fault::once(
            "GET /api/v1/vaults",
            FaultKind::ResetBeforeEffect,
        ))
        .await
        .unwrap();
    core.send("GET", "/api/v1/vaults", None).await.unwrap_err();
    let log = world.control.requests().await.unwrap();
    assert_eq!((log.total, log.count("GET /api/v3/vault/{vault}")), (3, 2));
    let [seen, forbidden, reset] = [0, 1, 2].map(|place| log.entries[place].clone());
    assert_eq!(
        (seen.status, seen.service_account.as_deref()),
        (Some(200), Some("reader"))
    );
    assert_eq!(forbidden.status, Some(403));
    assert!(forbidden.refusal.unwrap().contains("no right"));
    assert_eq!(
        (reset.status, reset.fault.as_deref()),
        (None, Some("reset before the effect"))
    );
}

#[tokio::test]
async fn the_log_holds_nothing_secret() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let (draft, secret) = core.draft(INFRA, PASSWORD, &["alice@example.com"]).await;
    let token = draft["token"].as_str().unwrap().to_owned();
    let link = core.share(draft, &secret).await.unwrap();
    world
        .control
        .open(&link, "alice@example.com")
        .await
        .unwrap();
    let url = format!("{}/_control/requests", world.simulator.origin());
    let log = core
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(log.contains("itemshare"), "the log is there");
    let credential = core.token.text("srpX").to_owned();
    for planted in [
        &*secret,
        &*token,
        &*credential,
        &*core.session,
        "hunter2",
        "alice@example.com",
    ] {
        assert!(!log.contains(planted), "{planted}");
    }
}

#[tokio::test]
async fn it_listens_on_the_loopback_only() {
    let options = Options {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..Options::default()
    };
    let refused = Simulator::start(account(), options).err().unwrap();
    assert!(matches!(refused, StartError::NotLoopback(_)));
}

#[tokio::test]
async fn once_it_is_dropped_nobody_listens() {
    for _ in 0..20 {
        let simulator = Simulator::start(account(), Options::default()).unwrap();
        let address = simulator.origin().trim_start_matches("http://").to_owned();
        std::net::TcpStream::connect(&address).unwrap();
        drop(simulator);
        std::net::TcpStream::connect(&address).unwrap_err();
    }
}

#[tokio::test]
async fn dropping_it_cuts_its_connections_and_frees_its_port() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    world
        .control
        .fault(Fault::once("GET /api/v1/vaults", FaultKind::Hang))
        .await
        .unwrap();
    let mut hanging = core.clone();
    let waiting = tokio::spawn(async move { hanging.send("GET", "/api/v1/vaults", None).await });
    while world
        .control
        .requests()
        .await
        .unwrap()
        .count("GET /api/v1/vaults")
        == 0
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let origin = world.simulator.origin();
    drop(world);
    assert!(waiting.await.unwrap().is_err(), "cut off");
    assert!(
        core.send("GET", "/api/v2/account/keysets", None)
            .await
            .is_err(),
        "refused"
    );

    let listen = origin.trim_start_matches("http://").parse().unwrap();
    let again = Simulator::start(
        account(),
        Options {
            listen,
            ..Options::default()
        },
    )
    .unwrap();
    assert_eq!(again.origin(), origin);
    let token = again.control().token("lender").await.unwrap();
    Core::sign_in(&token).await.unwrap();
}
