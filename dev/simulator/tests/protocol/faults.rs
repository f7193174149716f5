//! All faults.

use std::time::{Duration, Instant};

use keyloan_simulator::{Fault, FaultKind};
use serde_json::json;

use crate::core::{Answer, Core};
use crate::{INFRA, PASSWORD, World};

const ROUTE: &str = "GET /api/v1/vaults";
const PATH: &str = "/api/v1/vaults";
const SHARE: &str = "POST /api/v4/itemshare";

/// Orders a fault for the next listing of vaults and lists them.
async fn list_under(world: &World, core: &mut Core, kind: FaultKind) -> reqwest::Result<Answer> {
    world.control.fault(Fault::once(ROUTE, kind)).await.unwrap();
    core.send("GET", PATH, None).await
}

/// Orders a fault for the next share, creates one, and counts the shares.
async fn shares_under(world: &World, kind: FaultKind) -> (reqwest::Result<Answer>, usize) {
    let mut core = world.signed_in("lender").await;
    let (draft, _) = core.draft(INFRA, PASSWORD, &["alice@example.com"]).await;
    let before = world.control.shares().await.unwrap().len();
    world
        .control
        .fault(Fault::once(SHARE, kind.clone()))
        .await
        .unwrap();
    let arrived_before = world.control.requests().await.unwrap().count(SHARE);
    let result = tokio::select! {
        answer = core.send("POST", "/api/v4/itemshare", Some(draft)) => answer,
        () = hangs(world, kind, arrived_before, before) => Ok(Answer {
            status: 0,
            retry_after: None,
            date: String::new(),
            body: json!(null),
        }),
    };
    (result, world.control.shares().await.unwrap().len() - before)
}

/// Returns when a share that will get no answer has had its effect, if it has one; never for one that is answered.
async fn hangs(world: &World, kind: FaultKind, arrived_before: u64, shares_before: usize) {
    loop {
        let over = match kind {
            FaultKind::Hang => {
                world.control.requests().await.unwrap().count(SHARE) > arrived_before
            }
            FaultKind::HangAfterEffect => {
                world.control.shares().await.unwrap().len() > shares_before
            }
            _ => std::future::pending().await,
        };
        if over {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn any_status_with_or_without_retry_after() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    for status in [400, 401, 403, 404, 409, 422, 500, 502, 503, 504] {
        let answer = list_under(&world, &mut core, FaultKind::status(status))
            .await
            .unwrap();
        assert_eq!((answer.status, answer.retry_after), (status, None));
    }
    for retry_after in [None, Some(17)] {
        let answer = list_under(&world, &mut core, FaultKind::rate_limited(retry_after))
            .await
            .unwrap();
        assert_eq!((answer.status, answer.retry_after), (429, retry_after));
    }
    assert_eq!(core.get(PATH).await.status, 200, "afterwards all is well");
}

#[tokio::test]
async fn a_fault_lasts_for_as_many_requests_as_ordered_on_its_route_alone() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let fault = Fault {
        route: ROUTE.into(),
        kind: FaultKind::status(503),
        times: 2,
    };
    world.control.fault(fault).await.unwrap();
    assert_eq!(core.get("/api/v2/account/keysets").await.status, 200);
    let statuses = [
        core.get(PATH).await.status,
        core.get(PATH).await.status,
        core.get(PATH).await.status,
    ];
    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn faults_can_be_cleared() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let fault = Fault {
        route: "*".into(),
        kind: FaultKind::status(503),
        times: u32::MAX,
    };
    world.control.fault(fault).await.unwrap();
    assert_eq!(core.get(PATH).await.status, 503);
    world.control.clear_faults().await.unwrap();
    assert_eq!(core.get(PATH).await.status, 200);
}

#[tokio::test]
async fn a_delayed_answer_is_the_true_one() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let began = now();
    let answer = list_under(
        &world,
        &mut core,
        FaultKind::delay(Duration::from_millis(300)),
    )
    .await;
    assert_eq!(answer.unwrap().status, 200);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn an_answer_that_is_delayed_after_the_effect_comes_when_the_share_exists() {
    let world = World::start();
    let began = now();
    let late = FaultKind::delay_after_effect(Duration::from_millis(300));
    let (answer, made) = shares_under(&world, late).await;
    assert_eq!((answer.unwrap().status, made), (200, 1));
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[allow(clippy::disallowed_methods)] // The test measures real time.
fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn what_fails_before_the_effect_leaves_nothing_behind() {
    let world = World::start();
    for kind in [
        FaultKind::status(500),
        FaultKind::Hang,
        FaultKind::ResetBeforeEffect,
    ] {
        assert_eq!(shares_under(&world, kind.clone()).await.1, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn what_fails_after_the_effect_leaves_a_share_behind() {
    let world = World::start();
    for kind in [
        FaultKind::StatusAfterEffect { status: 502 },
        FaultKind::HangAfterEffect,
        FaultKind::ResetAfterEffect,
        FaultKind::Garbage,
        FaultKind::Oversized { bytes: 1 << 20 },
    ] {
        let (result, made) = shares_under(&world, kind.clone()).await;
        assert_eq!(made, 1, "{kind:?}");
        assert!(
            result.map_or(true, |answer| answer.body["url"].is_null()),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_reset_is_a_transport_error_and_the_next_connection_works() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    for kind in [FaultKind::ResetBeforeEffect, FaultKind::ResetAfterEffect] {
        let error = list_under(&world, &mut core, kind.clone())
            .await
            .unwrap_err();
        assert!(is_reset(&error), "{kind:?}: {error:?}");
        assert_eq!(core.get(PATH).await.status, 200);
    }
}

/// Whether the system's reset, not a mere end of the connection, is at the bottom of an error.
fn is_reset(error: &(dyn std::error::Error + 'static)) -> bool {
    let found = error.downcast_ref::<std::io::Error>();
    found.is_some_and(|found| found.kind() == std::io::ErrorKind::ConnectionReset)
        || error.source().is_some_and(is_reset)
}

#[tokio::test]
async fn garbage_is_no_json_and_oversized_is_long() {
    let world = World::start();
    let core = world.signed_in("lender").await;
    let url = format!("{}{PATH}", world.simulator.origin());
    let kinds = [FaultKind::Garbage, FaultKind::Oversized { bytes: 3 << 20 }];
    let mut lengths = Vec::new();
    for kind in kinds {
        world.control.fault(Fault::once(ROUTE, kind)).await.unwrap();
        let response = core.http.get(&url).send().await.unwrap();
        assert_eq!(
            (
                response.status().as_u16(),
                response.content_length().is_some()
            ),
            (200, lengths.is_empty())
        );
        let body = response.bytes().await.unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_err());
        lengths.push(body.len());
    }
    assert!(lengths[0] < 100 && lengths[1] >= 3 << 20, "{lengths:?}");
}

#[tokio::test]
async fn a_redirect_leads_where_the_log_would_show_it() {
    let world = World::start();
    let core = world.signed_in("lender").await;
    world.control.reset_requests().await.unwrap();
    world
        .control
        .fault(Fault::once(ROUTE, FaultKind::Redirect { location: None }))
        .await
        .unwrap();
    let response = core
        .http
        .get(format!("{}{PATH}", world.simulator.origin()))
        .send()
        .await
        .unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(response.status(), 307);
    core.http.get(location).send().await.unwrap();
    let log = world.control.requests().await.unwrap();
    assert_eq!((log.total, log.count("GET (no route)")), (2, 1));
}

#[tokio::test]
async fn an_expired_session_is_401_until_the_next_sign_in() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    assert_eq!(
        list_under(&world, &mut core, FaultKind::ExpiredSession)
            .await
            .unwrap()
            .status,
        401
    );
    assert_eq!(core.get(PATH).await.status, 401);
    assert_eq!(world.signed_in("lender").await.get(PATH).await.status, 200);
}
