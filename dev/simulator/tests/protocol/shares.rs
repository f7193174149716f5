//! Shares: what the service accepts, and who can open them.

use std::time::Duration;

use keyloan_simulator::account::{Lifetime, RecipientKind, ShareType};
use keyloan_simulator::{ItemChanges, Reason, SharePolicy};
use serde_json::{Value, json};

use crate::core::Core;
use crate::envelope::seal;
use crate::{ARCHIVED, FINANCE, INFRA, NOWHERE, PASSWORD, World};

const ALICE: &str = "alice@example.com";

async fn share_with(
    core: &mut Core,
    recipients: &[&str],
    change: impl FnOnce(&mut Value),
) -> Result<String, u16> {
    let (mut draft, secret) = core.draft(INFRA, PASSWORD, recipients).await;
    change(&mut draft);
    core.share(draft, &secret).await
}

#[tokio::test]
async fn the_recipient_opens_the_link_and_sees_the_item() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let link = share_with(&mut core, &[ALICE], |_| {}).await.unwrap();
    let item = world
        .control
        .open(&link, "Alice@Example.com")
        .await
        .unwrap();
    assert_eq!(
        (item.title.as_str(), item.notes.as_str()),
        ("db password", "the primary")
    );
    assert_eq!(
        (item.value("username"), item.value("password")),
        (Some("app"), Some("hunter2"))
    );

    let shares = world.control.shares().await.unwrap();
    let share = &shares[0];
    assert_eq!(
        (&*share.vault, &*share.item, share.item_version),
        (INFRA, PASSWORD, 1)
    );
    assert_eq!(
        (share.kind, &*share.recipients),
        (ShareType::Authenticated, &[ALICE.to_owned()][..])
    );
    assert_eq!(
        (&*share.service_account, share.views, share.max_views),
        ("lender", 1, None)
    );
    assert_eq!(
        share.expires_at.duration_since(share.created_at).as_secs(),
        3600
    );
}

#[tokio::test]
async fn nobody_else_opens_the_link() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let link = share_with(&mut core, &[ALICE, "example.org"], |_| {})
        .await
        .unwrap();
    for other in [
        "bob@example.com",
        "alice+x@example.com",
        "alice@sub.example.org",
        "",
    ] {
        let refusal = world.control.open(&link, other).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::WrongRecipient, "{other}");
    }
    world
        .control
        .open(&link, "anyone@example.org")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_public_share_opens_for_anyone() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let public = |draft: &mut Value| {
        draft["type"] = json!("P");
        draft.as_object_mut().unwrap().remove("recipients");
    };
    let link = share_with(&mut core, &[], public).await.unwrap();
    world
        .control
        .open(&link, "anyone@example.org")
        .await
        .unwrap();
    assert_eq!(
        world.control.shares().await.unwrap()[0].kind,
        ShareType::Public
    );
}

#[tokio::test]
async fn a_link_ends_when_its_time_has_passed() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let link = share_with(&mut core, &[ALICE], |_| {}).await.unwrap();
    world
        .control
        .advance_clock(Duration::from_secs(3500))
        .await
        .unwrap();
    world.control.open(&link, ALICE).await.unwrap();
    world
        .control
        .advance_clock(Duration::from_secs(100))
        .await
        .unwrap();
    assert_eq!(
        world.control.open(&link, ALICE).await.unwrap_err().reason,
        Reason::Expired
    );
}

#[tokio::test]
async fn a_view_once_link_opens_once_and_a_refusal_is_no_view() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let link = share_with(&mut core, &[ALICE], |draft| draft["maxViews"] = json!(1))
        .await
        .unwrap();
    world
        .control
        .open(&link, "bob@example.com")
        .await
        .unwrap_err();
    world.control.open(&link, ALICE).await.unwrap();
    assert_eq!(
        world.control.open(&link, ALICE).await.unwrap_err().reason,
        Reason::UsedUp
    );
}

#[tokio::test]
async fn a_link_without_its_secret_opens_nothing() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let link = share_with(&mut core, &[ALICE], |_| {}).await.unwrap();
    let (base, secret) = link.split_once('#').unwrap();
    let other_secret = format!("{base}#{}", "A".repeat(secret.len()));
    let elsewhere = format!("https://share.1password.com/s#{secret}");
    for (link, expected) in [
        (base, Reason::NotALink),
        ("no link at all", Reason::NotALink),
        (&*elsewhere, Reason::NotALink),
        (&*other_secret, Reason::Unknown),
    ] {
        assert_eq!(
            world.control.open(link, ALICE).await.unwrap_err().reason,
            expected,
            "{link}"
        );
    }
}

#[tokio::test]
async fn the_id_of_a_share_is_not_enough_to_see_it() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let (draft, secret) = core.draft(INFRA, PASSWORD, &[ALICE]).await;
    let (uuid, token) = (draft["uuid"].clone(), draft["token"].clone());
    core.share(draft, &secret).await.unwrap();
    let url = format!(
        "{}/s/{}/view",
        world.simulator.origin(),
        uuid.as_str().unwrap()
    );
    for (token, status) in [(json!(NOWHERE), 404), (json!(""), 404), (token, 200)] {
        let view = json!({ "token": token, "email": ALICE });
        assert_eq!(
            core.http
                .post(&url)
                .json(&view)
                .send()
                .await
                .unwrap()
                .status(),
            status
        );
    }
}

#[tokio::test]
async fn a_share_keeps_what_was_copied() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let link = share_with(&mut core, &[ALICE], |_| {}).await.unwrap();
    let changes = ItemChanges {
        fields: Some(Vec::new()),
        ..ItemChanges::default()
    };
    world
        .control
        .edit_item(INFRA, PASSWORD, &changes)
        .await
        .unwrap();
    let item = world.control.open(&link, ALICE).await.unwrap();
    assert_eq!(item.value("password"), Some("hunter2"));
}

#[tokio::test]
async fn a_share_needs_the_right_and_an_item_that_is_there_and_unchanged() {
    let world = World::start();
    let mut lender = world.signed_in("lender").await;
    let mut reader = world.signed_in("reader").await;
    assert_eq!(
        share_with(&mut reader, &[ALICE], |_| {}).await,
        Err(403),
        "a reader"
    );
    let vault = |id| move |draft: &mut Value| draft["vaultUuid"] = json!(id);
    assert_eq!(
        share_with(&mut lender, &[ALICE], vault(FINANCE)).await,
        Err(403),
        "a vault to read only"
    );
    assert_eq!(
        share_with(&mut lender, &[ALICE], vault(NOWHERE)).await,
        Err(404),
        "no vault"
    );
    let item = |id| move |draft: &mut Value| draft["itemUuid"] = json!(id);
    assert_eq!(
        share_with(&mut lender, &[ALICE], item(NOWHERE)).await,
        Err(404),
        "no item"
    );
    assert_eq!(
        share_with(&mut lender, &[ALICE], item(ARCHIVED)).await,
        Err(400),
        "an archived item"
    );
    let version = |draft: &mut Value| draft["itemVersion"] = json!(7);
    assert_eq!(
        share_with(&mut lender, &[ALICE], version).await,
        Err(409),
        "another version"
    );
    assert!(world.control.shares().await.unwrap().is_empty());
}

#[tokio::test]
async fn everything_in_a_share_must_follow_from_its_secret() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let key = core.vault_key(INFRA).await;
    let other_secret = seal(
        &key.bytes,
        &key.kid,
        b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE",
    );
    let not_base64 = seal(&key.bytes, &key.kid, b"!!!");
    for (field, value) in [
        ("uuid", json!(NOWHERE)),
        ("token", json!(NOWHERE)),
        ("encShareSecret", other_secret),
        ("encShareSecret", not_base64),
        ("encShareSecret", seal(&[0; 32], &key.kid, b"x")),
        ("encOverview", seal(&[0; 32], NOWHERE, b"{}")),
        ("encDetails", seal(&[0; 32], NOWHERE, b"{}")),
    ] {
        let result = share_with(&mut core, &[ALICE], |draft| draft[field] = value).await;
        assert_eq!(result, Err(400), "{field}");
    }
}

#[tokio::test]
async fn a_share_is_created_once() {
    let world = World::start();
    let mut core = world.signed_in("lender").await;
    let (draft, secret) = core.draft(INFRA, PASSWORD, &[ALICE]).await;
    assert!(core.share(draft.clone(), &secret).await.is_ok());
    assert_eq!(core.share(draft, &secret).await, Err(409));
}

#[tokio::test]
async fn the_policy_is_shown_and_enforced() {
    let world = World::start();
    let policy = SharePolicy {
        max_lifetime: Lifetime::OneDay,
        allowed_types: vec![ShareType::Authenticated],
        recipient_kinds: vec![RecipientKind::Email],
        allowed_domains: vec!["example.com".into()],
        max_views: Some(5),
        ..SharePolicy::default()
    };
    world.control.set_policy(&policy).await.unwrap();
    assert_eq!(world.control.policy().await.unwrap(), policy);
    let mut core = world.signed_in("lender").await;
    let shown = core
        .get(&format!("/api/v4/itemshare/preflight/{INFRA}/{PASSWORD}"))
        .await
        .body;
    assert_eq!(
        shown,
        json!({
            "allowedTypes": ["A"], "allowedRecipientTypes": ["E"], "maxExpiry": 86_400,
            "defaultExpiry": 86_400, "maxViews": 5, "files": { "allowed": false, "maxSize": 0 },
        })
    );

    let limited = |draft: &mut Value| draft["maxViews"] = json!(5);
    assert!(share_with(&mut core, &[ALICE], limited).await.is_ok());
    assert_eq!(
        share_with(&mut core, &[ALICE], |_| {}).await,
        Err(400),
        "unlimited views"
    );
    assert_eq!(
        share_with(&mut core, &["alice@example.org"], limited).await,
        Err(400),
        "another domain"
    );
    assert_eq!(
        share_with(&mut core, &["example.com"], limited).await,
        Err(400),
        "a domain as recipient"
    );
    assert_eq!(
        share_with(&mut core, &[], limited).await,
        Err(400),
        "nobody"
    );
    let too_long = |draft: &mut Value| {
        limited(draft);
        draft["expiry"] = json!(604_800);
    };
    assert_eq!(
        share_with(&mut core, &[ALICE], too_long).await,
        Err(400),
        "beyond the longest lifetime"
    );
    let public = |draft: &mut Value| {
        limited(draft);
        draft["type"] = json!("P");
    };
    assert_eq!(share_with(&mut core, &[], public).await, Err(400), "public");
}

#[tokio::test]
async fn recipients_that_the_policy_does_not_permit_are_named() {
    let world = World::start();
    let policy = SharePolicy {
        allowed_domains: vec!["example.com".into()],
        ..SharePolicy::default()
    };
    world.control.set_policy(&policy).await.unwrap();
    let mut core = world.signed_in("lender").await;
    let eve = json!({ "type": "E", "email": "eve@example.org" });
    let asked = json!({ "recipients": [
        { "type": "E", "email": ALICE }, eve, { "type": "D", "domain": "example.com" },
    ]});
    let answer = core
        .post("/api/v4/itemshare/validate-recipients", asked)
        .await;
    assert_eq!(answer.body, json!({ "rejectedRecipients": [eve] }));
}
