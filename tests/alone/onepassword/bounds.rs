//! One account never holds up another, nor itself for longer than a call may last; what idles is let go.

use std::time::Duration;

use futures::future::join_all;
use keyloan::onepassword::Problem;
use keyloan::onepassword::core::CoreOptions;
use keyloan_simulator::{Fault, FaultKind};

use crate::onepassword::world::{World, calls_end_before_their_exchanges};

const VAULTS: &str = "GET /api/v1/vaults";

#[tokio::test]
async fn a_hung_account_delays_no_other() {
    let world = World::with(CoreOptions {
        call_timeout: Duration::from_secs(60),
        ..CoreOptions::default()
    })
    .await;
    let (hung, other) = (world.lender().await, world.connect("reader").await);
    assert!(hung.vaults().await.result.is_ok());
    world
        .control
        .fault(Fault::once(VAULTS, FaultKind::Hang))
        .await
        .expect("a fault");
    let waiting = tokio::spawn(async move { hung.vaults().await });
    while world
        .control
        .requests()
        .await
        .expect("the log")
        .count(VAULTS)
        < 2
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let answer = tokio::time::timeout(Duration::from_secs(60), other.vaults())
        .await
        .expect("at once");
    assert!(answer.result.is_ok());
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn waiting_for_an_earlier_call_counts_as_part_of_the_call() {
    let world = World::with(calls_end_before_their_exchanges()).await;
    let account = world.lender().await;
    assert!(account.vaults().await.result.is_ok());
    let hang = Fault {
        route: VAULTS.into(),
        kind: FaultKind::Hang,
        times: 2,
    };
    world.control.fault(hang).await.expect("a fault");

    let both = join_all([account.vaults(), account.vaults()]);
    let answers = tokio::time::timeout(Duration::from_secs(45), both)
        .await
        .expect("one time-out, not two");
    for answer in answers {
        assert_eq!(answer.result.expect_err("late").problem(), Problem::Timeout);
    }
    let asked = world
        .control
        .requests()
        .await
        .expect("the log")
        .count(VAULTS);
    assert_eq!(
        asked, 2,
        "the second one's time was over before its turn came"
    );
}

#[tokio::test]
async fn calls_on_one_account_share_one_sign_in() {
    let world = World::new().await;
    let account = world.lender().await;
    let answers = join_all((0..5).map(|_| account.vaults())).await;
    assert!(answers.iter().all(|answer| answer.result.is_ok()));
    // Signing in takes four, and the first call that decrypts the keysets.
    let requests: Vec<_> = answers
        .iter()
        .map(|answer| answer.exchanges.len())
        .collect();
    assert_eq!(requests, [4 + 1 + 1, 1, 1, 1, 1]);
    assert_eq!(
        requests.iter().sum::<usize>() as u64,
        world.new_requests().await
    );
}

#[tokio::test]
async fn a_client_that_idles_is_let_go_and_one_in_use_is_not() {
    // The one test that lets time pass: the client's own clock cannot be moved.
    let idle = Duration::from_secs(6);
    let world = World::with(CoreOptions {
        idle_timeout: idle,
        ..CoreOptions::default()
    })
    .await;
    let account = world.lender().await;
    assert!(account.vaults().await.result.is_ok());
    for _ in 0..2 {
        tokio::time::sleep(idle / 6).await;
        assert_eq!(account.vaults().await.exchanges.len(), 1, "still signed in");
    }
    tokio::time::sleep(idle + idle / 6).await;
    assert!(
        account.vaults().await.exchanges.len() > 4,
        "signed in again"
    );
}

#[tokio::test]
async fn a_call_that_its_caller_gives_up_leaves_no_half_used_client() {
    let world = World::new().await;
    let account = world.lender().await;
    assert!(account.vaults().await.result.is_ok());
    world.give_up_a_call(&*account).await;

    let answer = account.vaults().await;
    assert!(answer.result.is_ok());
    assert_eq!(answer.exchanges.len(), 6, "signed in again");
}
