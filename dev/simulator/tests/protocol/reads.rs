//! Keys, vaults and items.

use keyloan_simulator::ItemChanges;
use serde_json::Value;

use crate::envelope::open_json;
use crate::{ARCHIVED, FINANCE, INFRA, NOWHERE, PASSWORD, World};

#[tokio::test]
async fn an_account_sees_the_vaults_that_it_may_read() {
    let world = World::start();
    for (account, expected) in [("lender", vec![INFRA, FINANCE]), ("reader", vec![INFRA])] {
        let vaults = world
            .signed_in(account)
            .await
            .get("/api/v1/vaults")
            .await
            .body;
        let ids: Vec<&str> = vaults
            .as_array()
            .unwrap()
            .iter()
            .map(|vault| vault["uuid"].as_str().unwrap())
            .collect();
        assert_eq!(ids, expected, "{account}");
    }
}

#[tokio::test]
async fn all_accounts_come_to_the_same_vault_key_by_keysets_of_their_own() {
    let world = World::start();
    let (mut lender, mut reader) = (
        world.signed_in("lender").await,
        world.signed_in("reader").await,
    );
    let (one, two) = (lender.vault_key(INFRA).await, reader.vault_key(INFRA).await);
    assert_eq!(
        (one.title(), &one.kid, one.bytes),
        ("Infra".into(), &two.kid, two.bytes)
    );
    let wrapped = |vault: &Value| vault["combinedAccess"]["encVaultKey"]["kid"].clone();
    assert_ne!(wrapped(&one.vault), wrapped(&two.vault));
}

#[tokio::test]
async fn overviews_have_titles_tags_and_state_but_no_values() {
    let world = World::start();
    let mut core = world.signed_in("reader").await;
    let key = core.vault_key(INFRA).await.bytes;
    let listed = core
        .get(&format!("/api/v1/vault/{INFRA}/items/overviews"))
        .await
        .body;
    assert_eq!(listed["batchComplete"], true);
    let (active, archived) = (&listed["items"][0], &listed["items"][1]);
    let overview = open_json(&key, &active["encOverview"]);
    assert_eq!(
        (&overview["title"], &overview["tags"][0]),
        (&"db password".into(), &"prod".into())
    );
    assert_eq!(
        (&active["templateUuid"], &active["trashed"]),
        (&"102".into(), &"N".into())
    );
    assert_eq!(
        (&archived["uuid"], &archived["trashed"]),
        (&ARCHIVED.into(), &"Y".into())
    );
    assert!(active.get("encDetails").is_none());
}

#[tokio::test]
async fn an_item_has_its_fields_and_notes() {
    let world = World::start();
    let mut core = world.signed_in("reader").await;
    let key = core.vault_key(INFRA).await.bytes;
    let item = core
        .get(&format!("/api/v1/vault/{INFRA}/item/{PASSWORD}"))
        .await
        .body["item"]
        .clone();
    let details = open_json(&key, &item["encDetails"]);
    let fields = details["sections"][0]["fields"].as_array().unwrap();
    let shown: Vec<(&str, &str, &str)> = fields
        .iter()
        .map(|field| {
            ["t", "k", "v"]
                .map(|part| field[part].as_str().unwrap())
                .into()
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("username", "string", "app"),
            ("password", "concealed", "hunter2")
        ]
    );
    assert_eq!(details["notesPlain"], "the primary");
}

#[tokio::test]
async fn ids_may_be_in_either_case() {
    let world = World::start();
    let mut core = world.signed_in("reader").await;
    let path = format!(
        "/api/v1/vault/{}/item/{}",
        INFRA.to_uppercase(),
        PASSWORD.to_uppercase()
    );
    assert_eq!(core.get(&path).await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_not_allowed_403() {
    let world = World::start();
    let mut core = world.signed_in("reader").await;
    for (path, status) in [
        (format!("/api/v3/vault/{NOWHERE}"), 404),
        (format!("/api/v1/vault/{NOWHERE}/items/overviews"), 404),
        (format!("/api/v1/vault/{NOWHERE}/item/{PASSWORD}"), 404),
        (format!("/api/v1/vault/{INFRA}/item/{NOWHERE}"), 404),
        (format!("/api/v3/vault/{FINANCE}"), 403),
        (format!("/api/v1/vault/{FINANCE}/items/overviews"), 403),
        (format!("/api/v1/vault/{FINANCE}/item/{NOWHERE}"), 403),
        (
            format!("/api/v4/itemshare/preflight/{INFRA}/{PASSWORD}"),
            403,
        ),
        ("/api/v1/nothing".into(), 404),
    ] {
        assert_eq!(core.get(&path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn an_edit_gives_an_item_a_new_version_and_time() {
    let world = World::start();
    let mut core = world.signed_in("reader").await;
    let path = format!("/api/v1/vault/{INFRA}/item/{PASSWORD}");
    let before = core.get(&path).await.body["item"].clone();
    world
        .control
        .advance_clock(std::time::Duration::from_secs(5))
        .await
        .unwrap();
    let changes = ItemChanges {
        tags: Some(vec!["dev".into()]),
        ..ItemChanges::default()
    };
    let edited = world
        .control
        .edit_item("Infra", "db password", &changes)
        .await
        .unwrap();
    let after = core.get(&path).await.body["item"].clone();
    assert_eq!((edited.version, &after["itemVersion"]), (2, &2.into()));
    assert_ne!(before["updatedAt"], after["updatedAt"]);
    assert!(
        !after["updatedAt"].as_str().unwrap().contains('.'),
        "whole seconds"
    );
    let key = core.vault_key(INFRA).await.bytes;
    assert_eq!(
        open_json(&key, &after["encOverview"])["tags"],
        serde_json::json!(["dev"])
    );
    assert_eq!(
        open_json(&key, &after["encOverview"])["title"],
        "db password",
        "the rest is untouched"
    );
}
