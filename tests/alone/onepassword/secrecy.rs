//! Nothing that an account holds can be printed: not the token, not an item, not a URL, and not by an error.

use keyloan::onepassword::Accounts;
use keyloan_simulator::{Fault, FaultKind};

use crate::onepassword::world::{World, lend, terms};

#[tokio::test]
async fn no_debug_output_shows_a_secret() {
    let world = World::new().await;
    let token = world.token("lender").await;
    let text = world.control.token("lender").await.expect("a token");
    let account = world.accounts.connect(token.clone());
    let ids = world.find("db password").await;
    let (item, policy, url, exchanges) =
        lend(&*account, &ids, &terms(&["alice@example.com"])).await;
    let answer = account.item(&ids.0, &ids.1).await;

    let key = url.expose().split_once('#').expect("a key in the URL").1;
    let shown = format!("{token:?} {item:?} {policy:?} {url:?} {exchanges:?} {answer:?}");
    for secret in [
        "correct-horse-battery-staple",
        &text[..20],
        &text[text.len() - 20..],
        key,
        url.expose(),
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("db password"), "what is no secret is shown");
}

#[tokio::test]
async fn no_error_shows_a_secret() {
    let world = World::new().await;
    let account = world.lender().await;
    let (vault, item) = world.find("db password").await;
    for fault in [
        FaultKind::Garbage,
        FaultKind::status(400),
        FaultKind::status(500),
    ] {
        world
            .control
            .fault(Fault::once("GET /api/v1/vault/{vault}/item/{item}", fault))
            .await
            .expect("a fault");
        let error = account
            .item(&vault, &item)
            .await
            .result
            .expect_err("trouble");
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("correct-horse") && !shown.contains(&item.0),
            "{shown}"
        );
    }
}
