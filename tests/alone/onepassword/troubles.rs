//! What goes wrong on the way, and what each trouble is called: told from the exchanges, not from the core's words.

use std::time::Duration;

use keyloan::network::{Hindrance, Unreached};
use keyloan::onepassword::core::CoreOptions;
use keyloan::onepassword::{
    CallError, Effect, Fault as Broken, NoAnswer, Outcome, Problem, Route, Stage,
};
use keyloan_simulator::{Fault, FaultKind};
use rstest::rstest;

use crate::onepassword::world::{World, calls_end_before_their_exchanges, lend, routes, terms};

const ITEM: &str = "GET /api/v1/vault/{vault}/item/{item}";
const SHARE: &str = "POST /api/v4/itemshare";
const EVERYTHING: &str = "*";
const REFUSED: Unreached = Unreached::Host(Hindrance::Refused);

/// How 1Password's log names what leads nowhere, such as where a redirect points.
const NO_ROUTE: &str = "GET (no route)";

/// Hangs are waited for, and oversized answers read, in a test: both are bounded more tightly than by default.
fn impatient() -> CoreOptions {
    CoreOptions {
        call_timeout: Duration::from_secs(60),
        exchange_timeout: Duration::from_secs(8),
        max_response: 1 << 20,
        ..CoreOptions::default()
    }
}

fn unavailable(status: u16) -> Problem {
    Problem::Unavailable {
        status: Some(status),
    }
}

#[rstest]
#[case(FaultKind::status(400), Problem::Broken(Broken::Status(400)))]
#[case(FaultKind::status(403), Problem::Forbidden)]
#[case(FaultKind::status(404), Problem::NotFound)]
#[case(FaultKind::status(409), Problem::Conflict)]
#[case(FaultKind::rate_limited(None), Problem::RateLimited { retry_after: None })]
#[case(FaultKind::rate_limited(Some(17)), Problem::RateLimited { retry_after: Some(Duration::from_secs(17)) })]
#[case(FaultKind::status(500), unavailable(500))]
#[case(FaultKind::status(502), unavailable(502))]
#[case(FaultKind::status(503), unavailable(503))]
#[case(FaultKind::status(504), unavailable(504))]
#[case(FaultKind::Redirect { location: None }, Problem::Broken(Broken::Redirect(307)))]
#[case(FaultKind::ResetBeforeEffect, Problem::Unavailable { status: None })]
#[case(FaultKind::Garbage, Problem::Broken(Broken::Trap))]
#[case(FaultKind::Oversized { bytes: 4 << 20 }, Problem::Broken(Broken::TooLarge))]
#[case(FaultKind::Hang, Problem::Timeout)]
#[tokio::test]
async fn a_trouble_with_an_item_is_told_and_the_next_call_is_fine(
    #[case] fault: FaultKind,
    #[case] problem: Problem,
) {
    let world = World::with(impatient()).await;
    let account = world.lender().await;
    let (vault, item) = world.find("db password").await;
    world
        .control
        .fault(Fault::once(ITEM, fault))
        .await
        .expect("a fault");

    let answer = account.item(&vault, &item).await;
    let expected = CallError::new(problem, Stage::Call, Effect::None);
    assert_eq!(
        answer.result.err(),
        Some(expected),
        "{:?}",
        answer.exchanges
    );
    assert!(account.item(&vault, &item).await.result.is_ok());
    assert_eq!(
        world
            .control
            .requests()
            .await
            .expect("the log")
            .count(NO_ROUTE),
        0,
        "a redirect is not followed"
    );
}

#[rstest]
#[case(FaultKind::status(401), Problem::Unauthorized)]
#[case(FaultKind::status(403), Problem::Forbidden)]
#[case(FaultKind::status(404), Problem::Broken(Broken::Status(404)))]
#[case(FaultKind::rate_limited(Some(60)), Problem::RateLimited { retry_after: Some(Duration::from_secs(60)) })]
#[case(FaultKind::Redirect { location: None }, Problem::Broken(Broken::Redirect(307)))]
#[case(FaultKind::ResetBeforeEffect, Problem::Unavailable { status: None })]
#[case(FaultKind::Hang, Problem::Timeout)]
#[tokio::test]
async fn a_trouble_while_signing_in_concerns_the_token(
    #[case] fault: FaultKind,
    #[case] problem: Problem,
) {
    sign_in_fails("POST /api/v3/auth/start", fault, problem).await;
}

#[rstest]
#[tokio::test]
async fn each_step_of_signing_in_concerns_the_token(
    #[values(
        "POST /api/v3/auth/start",
        "POST /api/v2/auth",
        "POST /api/v2/auth/confirm-key",
        "POST /api/v2/auth/complete"
    )]
    route: &str,
) {
    sign_in_fails(route, FaultKind::status(503), unavailable(503)).await;
}

async fn sign_in_fails(route: &str, fault: FaultKind, problem: Problem) {
    let world = World::with(impatient()).await;
    let account = world.lender().await;
    world
        .control
        .fault(Fault::once(route, fault))
        .await
        .expect("a fault");

    let error = account.vaults().await.result.expect_err("trouble");
    assert_eq!(error, CallError::new(problem, Stage::SignIn, Effect::None));
    assert!(account.vaults().await.result.is_ok());
}

#[rstest]
#[case::refused(FaultKind::status(403), Effect::None, 0)]
#[case::limited(FaultKind::rate_limited(None), Effect::None, 0)]
#[case::failed(FaultKind::status(500), Effect::Possible, 0)]
#[case::failed_late(FaultKind::StatusAfterEffect { status: 502 }, Effect::Possible, 1)]
#[case::reset_early(FaultKind::ResetBeforeEffect, Effect::Possible, 0)]
#[case::reset_late(FaultKind::ResetAfterEffect, Effect::Possible, 1)]
#[case::hung_early(FaultKind::Hang, Effect::Possible, 0)]
#[case::hung_late(FaultKind::HangAfterEffect, Effect::Possible, 1)]
#[case::garbled(FaultKind::Garbage, Effect::Possible, 1)]
#[case::oversized(FaultKind::Oversized { bytes: 4 << 20 }, Effect::Possible, 1)]
#[tokio::test]
async fn a_failed_share_is_ruled_out_only_if_its_refusal_was_seen(
    #[case] fault: FaultKind,
    #[case] effect: Effect,
    #[case] exist: usize,
) {
    let world = World::with(impatient()).await;
    let account = world.lender().await;
    let (vault, item) = world.find("db password").await;
    let fetched = account.item(&vault, &item).await.result.expect("the item");
    let policy = account
        .share_policy(&vault, &item)
        .await
        .result
        .expect("the policy");
    world
        .control
        .fault(Fault::once(SHARE, fault))
        .await
        .expect("a fault");

    let error = account
        .share(&fetched, &policy, &terms(&["alice@example.com"]))
        .await
        .result
        .expect_err("trouble");
    assert_eq!(error.effect(), effect, "{error}");
    assert_eq!(world.control.shares().await.expect("shares").len(), exist);
    assert!(
        account
            .share(&fetched, &policy, &terms(&["alice@example.com"]))
            .await
            .result
            .is_ok()
    );
}

#[tokio::test]
async fn an_expired_session_is_renewed_without_a_word() {
    let world = World::new().await;
    let account = world.lender().await;
    let (vault, item) = world.find("db password").await;
    assert!(account.item(&vault, &item).await.result.is_ok());
    world
        .control
        .fault(Fault::once(ITEM, FaultKind::ExpiredSession))
        .await
        .expect("a fault");

    let answer = account.item(&vault, &item).await;
    assert!(answer.result.is_ok(), "{answer:?}");
    let (again, last) = (routes(&answer.exchanges), answer.exchanges.len() - 1);
    assert_eq!((again[0], again[last], last), (Route::Item, Route::Item, 5));
    assert_eq!(answer.exchanges[0].status(), Some(401));
}

#[tokio::test]
async fn a_revoked_token_is_unauthorized_signed_in_or_not() {
    let world = World::new().await;
    let (before, after) = (world.lender().await, world.lender().await);
    assert!(before.vaults().await.result.is_ok());
    world.control.revoke_token("lender").await.expect("revoked");
    for account in [before, after] {
        let error = account.vaults().await.result.expect_err("revoked");
        assert_eq!(
            (error.problem(), error.stage()),
            (Problem::Unauthorized, Stage::SignIn)
        );
    }
}

#[tokio::test]
async fn nobody_listening_means_unavailable_and_nothing_was_sent() {
    let world = World::new().await;
    let account = world.lender().await;
    drop(world);
    let answer = account.vaults().await;
    let error = answer.result.expect_err("nobody there");
    assert_eq!(
        (error.problem(), error.stage()),
        (Problem::Unreachable(REFUSED), Stage::SignIn)
    );
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(
        answer.exchanges[0].outcome,
        Outcome::Silent(NoAnswer::Connect(REFUSED))
    );
    assert!(!answer.exchanges[0].was_sent());
}

#[tokio::test]
async fn the_services_clock_and_its_wish_to_wait_are_written_down() {
    let world = World::new().await;
    let account = world.lender().await;
    world
        .control
        .advance_clock(Duration::from_secs(3600))
        .await
        .expect("an hour ahead");
    let theirs = world.control.now().await.expect("their time");
    let seen = account.vaults().await.exchanges;
    let Outcome::Answered {
        date: Some(date), ..
    } = seen[0].outcome
    else {
        panic!("{:?}", seen[0])
    };
    assert!(
        date.duration_since(theirs).abs().as_secs() < 10,
        "{date} {theirs}"
    );

    let at = jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&(theirs + Duration::from_secs(120)))
        .expect("a date");
    let limited = FaultKind::Status {
        status: 429,
        retry_after: Some(at),
    };
    world
        .control
        .fault(Fault::once(EVERYTHING, limited))
        .await
        .expect("a fault");
    let error = account.vaults().await.result.expect_err("limited");
    let Problem::RateLimited {
        retry_after: Some(wait),
    } = error.problem()
    else {
        panic!("{error}")
    };
    assert!((100..=120).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn after_a_timeout_the_client_is_built_anew() {
    let world = World::with(calls_end_before_their_exchanges()).await;
    let account = world.lender().await;
    let ids = world.find("db password").await;
    lend(&*account, &ids, &terms(&["alice@example.com"])).await;
    world
        .control
        .fault(Fault::once(ITEM, FaultKind::Hang))
        .await
        .expect("a fault");

    let answer = account.item(&ids.0, &ids.1).await;
    assert_eq!(answer.result.expect_err("hung").problem(), Problem::Timeout);
    assert_eq!(
        answer.exchanges[0].outcome,
        Outcome::Silent(NoAnswer::Timeout)
    );
    world.new_requests().await;
    assert!(account.item(&ids.0, &ids.1).await.result.is_ok());
    assert_eq!(world.new_requests().await, 4 + 3);
}
