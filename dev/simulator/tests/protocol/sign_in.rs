//! Signing in.

use keyloan_simulator::Options;
use serde_json::json;

use crate::core::{Core, Token};
use crate::srp_client::PRIME;
use crate::{World, account};

#[tokio::test]
async fn a_token_signs_in_with_four_requests() {
    let world = World::start();
    world.signed_in("lender").await;
    let log = world.control.requests().await.unwrap();
    let routes: Vec<&str> = log.entries.iter().map(|entry| &*entry.route).collect();
    assert_eq!(
        routes,
        [
            "POST /api/v3/auth/start",
            "POST /api/v2/auth",
            "POST /api/v2/auth/confirm-key",
            "POST /api/v2/auth/complete",
        ]
    );
}

#[tokio::test]
async fn a_wrong_proof_is_refused_and_ends_the_session() {
    let world = World::start();
    let token = world.control.token("lender").await.unwrap();
    let (mut core, user_auth) = Core::start(&token).await.unwrap();
    let mut proofs = core.exchange(&user_auth).await.unwrap();
    let right = proofs.client;
    proofs.client[31] ^= 1;
    assert_eq!(core.confirm(&proofs).await.unwrap_err().status, 401);
    proofs.client = right;
    assert_eq!(
        core.confirm(&proofs).await.unwrap_err().status,
        401,
        "no second try"
    );
}

#[tokio::test]
async fn who_does_not_know_x_is_refused() {
    let world = World::start();
    let mut token = Token::parse(&world.control.token("lender").await.unwrap());
    token.0["srpX"] = json!("00".repeat(32));
    let forged = data_encoding::BASE64URL_NOPAD.encode(token.0.to_string().as_bytes());
    assert_eq!(
        Core::sign_in(&format!("ops_{forged}"))
            .await
            .err()
            .unwrap()
            .status,
        401
    );
}

#[tokio::test]
async fn unknown_accounts_are_refused_at_once() {
    let world = World::start();
    let (core, _) = Core::start(&world.control.token("lender").await.unwrap())
        .await
        .unwrap();
    let email = core.token.text("email");
    let skid = core.token.account_key_uuid();
    for (email, skid, format, status) in [
        (email, skid, "A3", 200),
        (&*email.to_uppercase(), skid, "A3", 200),
        ("nobody@example.com", skid, "A3", 401),
        (email, "AAAAAA", "A3", 401),
        (email, skid, "A2", 400),
    ] {
        let start = json!({ "email": email, "skid": skid, "skFormat": format, "deviceUuid": "d" });
        assert_eq!(
            core.clear("/api/v3/auth/start", start).await.status,
            status,
            "{email} {skid} {format}"
        );
    }
}

#[tokio::test]
async fn a_public_value_that_gives_the_key_away_is_refused() {
    let world = World::start();
    let token = world.control.token("lender").await.unwrap();
    for bad in ["0".to_owned(), PRIME.to_str_radix(16), "not hex".into()] {
        let (core, _) = Core::start(&token).await.unwrap();
        assert_eq!(
            core.clear("/api/v2/auth", json!({ "userA": bad }))
                .await
                .status,
            400
        );
    }
}

#[tokio::test]
async fn the_steps_have_their_order() {
    let world = World::start();
    let (mut core, user_auth) = Core::start(&world.control.token("lender").await.unwrap())
        .await
        .unwrap();
    let proof = json!({ "clientVerifyHash": "AAAA" });
    assert_eq!(
        core.clear("/api/v2/auth/confirm-key", proof).await.status,
        400,
        "nothing to prove yet"
    );
    let proofs = core.exchange(&user_auth).await.unwrap();
    assert_eq!(
        core.get("/api/v1/vaults").await.status,
        401,
        "not proven yet"
    );
    core.confirm(&proofs).await.unwrap();
    assert_eq!(
        core.get("/api/v1/vaults").await.status,
        401,
        "not complete yet"
    );
    core.post("/api/v2/auth/complete", json!({})).await;
    assert_eq!(core.get("/api/v1/vaults").await.status, 200);
    assert_eq!(
        core.post("/api/v2/auth/complete", json!({})).await.status,
        401,
        "complete already"
    );
}

#[tokio::test]
async fn a_revoked_token_signs_in_no_more_and_its_session_ends() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let token = world.control.token("lender").await.unwrap();
    world.control.revoke_token("lender").await.unwrap();
    assert_eq!(core.get("/api/v1/vaults").await.status, 401);
    assert_eq!(Core::sign_in(&token).await.err().unwrap().status, 401);
    world.signed_in("reader").await;
}

#[tokio::test]
async fn a_rotated_token_replaces_the_old_one_and_opens_the_same_keys() {
    let world = World::start();
    let mut old = world.signed_in("lender").await;
    let before = old.vault_key(crate::INFRA).await.bytes;
    let old_token = world.control.token("lender").await.unwrap();
    let new_token = world.control.rotate_token("lender").await.unwrap();
    assert_eq!(old.get("/api/v1/vaults").await.status, 401);
    assert_eq!(Core::sign_in(&old_token).await.err().unwrap().status, 401);
    let mut new = Core::sign_in(&new_token).await.unwrap();
    assert_eq!(new.vault_key(crate::INFRA).await.bytes, before);
    assert_eq!(world.control.token("lender").await.unwrap(), new_token);
}

#[tokio::test]
async fn a_rotation_brings_a_revoked_account_back() {
    let world = World::start();
    world.control.revoke_token("lender").await.unwrap();
    let token = world.control.rotate_token("lender").await.unwrap();
    Core::sign_in(&token).await.unwrap();
}

#[tokio::test]
async fn with_a_seed_a_token_survives_a_restart() {
    let options = || Options {
        seed: Some("a seed".into()),
        ..Options::default()
    };
    let first = World::with(account(), options());
    let token = Token::parse(&first.control.token("lender").await.unwrap());
    drop(first);
    let second = World::with(account(), options());
    let mut again = Token::parse(&second.control.token("lender").await.unwrap());
    assert_ne!(again.origin(), token.origin(), "another port");
    again.0["signInAddress"] = token.0["signInAddress"].clone();
    assert_eq!(again.0, token.0);
}
