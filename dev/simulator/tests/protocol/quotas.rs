//! The plan's request limits, on the wire.

use std::time::Duration;

use keyloan_simulator::Options;

use crate::core::Core;
use crate::{INFRA, World, account};

const PATH: &str = "/api/v1/vaults";

/// Uses up a limit with requests that fail, which is faster.
async fn use_up(core: &mut Core, reads: usize) {
    for _ in 0..reads {
        assert_eq!(
            core.get("/api/v1/vault/aaaaaaaaaaaaaaaaaaaaaaaaaa/items/overviews")
                .await
                .status,
            404
        );
    }
}

#[tokio::test]
async fn over_the_limit_is_429_until_the_window_is_over() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    use_up(&mut core, 1000).await;
    let refused = core.get(PATH).await;
    assert_eq!(refused.status, 429);
    let wait = refused.retry_after.unwrap();
    // The hour has already lost the time that the thousand requests took.
    assert!((3000..=86_401).contains(&wait), "{wait}");
    world
        .control
        .advance_clock(Duration::from_secs(3601))
        .await
        .unwrap();
    let mut core = world.signed_in("lender").await;
    assert_eq!(
        core.get(PATH).await.status,
        429,
        "the day's limit of a Families account is 1,000"
    );
    world
        .control
        .advance_clock(Duration::from_secs(24 * 3600))
        .await
        .unwrap();
    let mut core = world.signed_in("lender").await;
    assert_eq!(core.get(PATH).await.status, 200);
}

#[tokio::test]
async fn writes_have_a_limit_of_their_own() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    for _ in 0..100 {
        let refused = core.post("/api/v4/itemshare", serde_json::json!({})).await;
        assert_eq!(refused.status, 400);
    }
    assert_eq!(
        core.post("/api/v4/itemshare", serde_json::json!({}))
            .await
            .status,
        429
    );
    assert_eq!(core.get(PATH).await.status, 200);
    assert_eq!(
        core.get(&format!("/api/v3/vault/{INFRA}")).await.status,
        200
    );
}

#[tokio::test]
async fn limits_can_be_switched_off() {
    let world = World::with(
        account(),
        Options {
            enforce_quotas: false,
            ..Options::default()
        },
    );
    let mut core = world.signed_in("lender").await;
    use_up(&mut core, 1001).await;
    assert_eq!(core.get(PATH).await.status, 200);
}
