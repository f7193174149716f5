//! The protection of an open session.

use std::time::Duration;

use keyloan_simulator::Options;
use serde_json::json;

use crate::envelope::seal;
use crate::{World, account};

const PATH: &str = "/api/v1/vaults?attrs=combined-access";

#[tokio::test]
async fn a_request_without_a_valid_mac_is_refused() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let n = core.counter + 1;
    let right = core.mac("GET", PATH, n);
    let (head, tag) = right.rsplit_once('|').unwrap();
    let flipped = format!(
        "{head}|{}{}",
        if tag.starts_with('A') { 'B' } else { 'A' },
        &tag[1..]
    );
    for (mac, what) in [
        ("", "none"),
        (&*flipped, "a wrong tag"),
        (&*core.mac("POST", PATH, n), "the MAC of another method"),
        (
            &*core.mac("GET", "/api/v1/vaults", n),
            "the MAC of another query",
        ),
        (
            &*core.mac("GET", "/api/v2/account/keysets", n),
            "the MAC of another path",
        ),
        (&*right.replacen("v1", "v2", 1), "another version"),
        (&*format!("{right}|x"), "a fifth part"),
        (
            &*right.replacen(&n.to_string(), &(n + 1).to_string(), 1),
            "another counter than authenticated",
        ),
    ] {
        let answer = core.send_as("GET", PATH, None, mac).await.unwrap();
        assert_eq!(answer.status, 401, "{what}");
    }
    assert_eq!(core.get(PATH).await.status, 200, "the right one");
}

#[tokio::test]
async fn a_counter_serves_once() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    assert_eq!(core.get(PATH).await.status, 200);
    let replayed = core.mac("GET", PATH, core.counter);
    assert_eq!(
        core.send_as("GET", PATH, None, &replayed)
            .await
            .unwrap()
            .status,
        401
    );
    let earlier = core.mac("GET", PATH, core.counter - 1);
    assert_eq!(
        core.send_as("GET", PATH, None, &earlier)
            .await
            .unwrap()
            .status,
        401
    );
    core.counter += 100;
    assert_eq!(core.get(PATH).await.status, 200, "a gap does no harm");
}

#[tokio::test]
async fn a_mac_of_another_session_is_refused() {
    let world = World::start();
    let (one, two) = (
        world.signed_in("lender").await,
        world.signed_in("lender").await,
    );
    let mac = one.mac("GET", PATH, one.counter + 1);
    assert_eq!(
        two.send_as("GET", PATH, None, &mac).await.unwrap().status,
        401
    );
}

#[tokio::test]
async fn a_body_must_be_encrypted_for_the_session() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let path = "/api/v4/itemshare/validate-recipients";
    let plain = json!({ "recipients": [] });
    let bytes = plain.to_string();
    for (body, what) in [
        (None, "no body"),
        (Some(plain.clone()), "plain"),
        (
            Some(seal(&core.key, "another", bytes.as_bytes())),
            "another key's name",
        ),
        (
            Some(seal(&[0; 32], &core.session, bytes.as_bytes())),
            "another key",
        ),
    ] {
        core.counter += 1;
        let mac = core.mac("POST", path, core.counter);
        assert_eq!(
            core.send_as("POST", path, body, &mac).await.unwrap().status,
            400,
            "{what}"
        );
    }
    assert_eq!(core.post(path, plain).await.status, 200);
}

#[tokio::test]
async fn a_get_may_have_an_encrypted_empty_body() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    for (key, status) in [(core.key, 200), ([0; 32], 400)] {
        core.counter += 1;
        let mac = core.mac("GET", PATH, core.counter);
        let empty = seal(&key, &core.session, b"");
        let answer = core.send_as("GET", PATH, Some(empty), &mac).await.unwrap();
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used() {
    let lifetime = Duration::from_secs(600);
    let world = World::with(
        account(),
        Options {
            session_lifetime: lifetime,
            ..Options::default()
        },
    );
    let mut core = world.signed_in("lender").await;
    for _ in 0..3 {
        world.control.advance_clock(lifetime / 2).await.unwrap();
        assert_eq!(core.get(PATH).await.status, 200, "each use prolongs it");
    }
    world.control.advance_clock(lifetime * 2).await.unwrap();
    assert_eq!(core.get(PATH).await.status, 401);
    assert_eq!(
        world.signed_in("lender").await.get(PATH).await.status,
        200,
        "a new one"
    );
}

#[tokio::test]
async fn who_names_no_session_is_refused() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    core.session = "aaaaaaaaaaaaaaaaaaaaaaaaaa".into();
    assert_eq!(core.get(PATH).await.status, 401);
    let url = format!("{}{PATH}", world.simulator.origin());
    assert_eq!(core.http.get(url).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_client_says_what_it_is() {
    let world = World::start();
    let url = format!("{}/api/v3/auth/start", world.simulator.origin());
    let anonymous = reqwest::Client::builder().no_proxy().build().unwrap();
    let refused = anonymous.post(url).json(&json!({})).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("header"));
}
