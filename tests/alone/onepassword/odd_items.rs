//! Items as real vaults hold them, and as other clients have written them: the core lists and reads them, and shares them or is
//! understood in its refusal.

use keyloan::onepassword::{Effect, ItemId, ItemState, Obstacle, Problem, Route, VaultId};
use keyloan_simulator::account::Item;
use rstest::rstest;
use serde_json::{Value, json};

use crate::onepassword::world::{World, routes, terms};

/// A login that says this beyond or instead of what a login says.
fn login(title: &str, wire: Value) -> Item {
    let item = json!({
        "title": title, "wire": wire,
        "fields": [{ "label": "username", "value": "app" }, { "label": "password", "value": "x", "kind": "Concealed" }],
    });
    serde_json::from_value(item).expect("an item")
}

fn with_sections(sections: Value) -> Item {
    login("odd", json!({ "details": { "sections": sections } }))
}

fn with_field(kind: &str, value: Value) -> Item {
    with_sections(json!([{ "name": "s", "title": "S", "fields": [field("f", kind, value)] }]))
}

fn field(id: &str, kind: &str, value: Value) -> Value {
    json!({ "n": id, "k": kind, "t": id, "v": value })
}

fn text(id: &str) -> Value {
    field(id, "string", json!("x"))
}

fn of_template(template: &str) -> Item {
    login("odd", json!({ "item": { "templateUuid": template } }))
}

/// What 1Password keeps of an attached file.
fn file() -> Value {
    let key = |alg: &str, ops: [&str; 2]| json!({ "kty": "oct", "kid": "k", "alg": alg, "ext": true, "key_ops": ops, "k": "A".repeat(43) });
    json!({
        "fileName": "key.pem", "documentId": "bcdefghijklmnopqrstuvwxya", "size": 12, "encryptedSize": 28, "unencryptedSize": 12,
        "nonce": "AAAAAAAAAAAAAAAA", "integrityHash": "AA",
        "encryptionKey": key("A256GCM", ["encrypt", "decrypt"]), "signingKey": key("HS256", ["sign", "verify"]),
    })
}

#[rstest]
#[case::a_title_of_300_characters(login(&"t".repeat(300), Value::Null), 2)]
#[case::a_title_of_5000_characters(login(&"t".repeat(5000), Value::Null), 2)]
#[case::an_empty_title(login("", Value::Null), 2)]
#[case::a_title_beyond_ascii(login("Übung 密码 🗝", Value::Null), 2)]
#[case::a_title_from_right_to_left(login("مرحبا كلمة السر", Value::Null), 2)]
#[case::a_title_with_marks_of_direction(login("\u{202e}drowssap\u{200b}", Value::Null), 2)]
#[case::a_title_with_control_characters(login("a\u{0}\u{1b}[2K", Value::Null), 2)]
#[case::five_thousand_fields(
    with_sections(json!([{ "name": "s", "title": "S", "fields": (0..5000).map(|n| text(&n.to_string())).collect::<Vec<_>>() }])),
    5002
)]
#[case::a_section_without_fields(with_sections(json!([{ "name": "s", "title": "S" }])), 2)]
#[case::a_section_without_an_id(with_sections(json!([{ "title": "S", "fields": [text("f")] }])), 3)]
#[case::a_field_without_a_value(with_sections(json!([{ "name": "s", "title": "S", "fields": [{ "n": "f", "k": "string", "t": "f" }] }])), 3)]
#[case::a_date(with_field("date", json!(1_700_000_000)), 3)]
#[case::a_date_that_is_none(with_field("date", json!("soon")), 3)]
#[case::an_address(with_field("address", json!({ "street": "s", "city": "c", "country": "de" })), 3)]
#[case::a_menu(with_field("menu", json!("x")), 3)]
#[case::old_passwords(login("odd", json!({ "details": { "passwordHistory": [{ "value": "old", "time": 1 }] } })), 2)]
#[case::no_details(login("odd", json!({ "details": { "fields": null, "sections": null, "notesPlain": null } })), 0)]
#[tokio::test]
async fn an_odd_item_is_shared(#[case] item: Item, #[case] fields: usize) {
    let world = World::new().await;
    let (vault, id) = put(&world, &item).await;
    let account = world.lender().await;
    let listed = account.items(&vault).await.result.expect("a list");
    let listed = listed.iter().find(|seen| seen.id == id).expect("listed");
    assert_eq!(
        (&listed.title, listed.state),
        (&item.title, ItemState::Active)
    );

    let fetched = account.item(&vault, &id).await.result.expect("the item");
    assert_eq!(fetched.title, item.title);
    let policy = account.share_policy(&vault, &id).await.result;
    let policy = policy.expect("a policy");
    let alice = terms(&["alice@example.com"]);
    let shared = account.share(&fetched, &policy, &alice).await;
    let url = shared.result.expect("a share");
    let opened = world.control.open(url.expose(), "alice@example.com").await;
    let opened = opened.expect("it opens");
    assert_eq!((&opened.title, opened.fields.len()), (&item.title, fields));
}

#[rstest]
#[case::an_attachment(with_field("file", file()), Obstacle::Files)]
#[case::a_document(login("odd", json!({ "item": { "templateUuid": "006" }, "details": { "documentAttributes": file() } })), Obstacle::Files)]
#[case::a_document_without_a_file(of_template("006"), Obstacle::Contents)]
#[case::an_unknown_category(of_template("999"), Obstacle::Category)]
#[case::a_custom_category(of_template("bcdefghijklmnopqrstuvwxya"), Obstacle::Category)]
#[case::no_category(of_template(""), Obstacle::Category)]
#[case::two_sections_with_one_id(
    with_sections(json!([{ "name": "s", "title": "A", "fields": [text("a")] }, { "name": "s", "title": "B", "fields": [text("b")] }])),
    Obstacle::SameIds
)]
#[case::two_fields_with_one_id(
    with_sections(json!([{ "name": "s", "title": "A", "fields": [text("a"), text("a")] }])),
    Obstacle::SameIds
)]
#[case::a_field_of_another_section_with_its_id(
    with_sections(json!([{ "name": "s", "title": "A", "fields": [text("a")] }, { "name": "t", "title": "B", "fields": [text("a")] }])),
    Obstacle::SameIds
)]
#[case::an_unknown_type_of_field(with_field("quantum", json!("x")), Obstacle::FieldType)]
#[case::a_reference_to_nothing(with_field("reference", json!("bcdefghijklmnopqrstuvwxya")), Obstacle::Contents)]
#[case::half_a_key(
    login("odd", json!({ "item": { "templateUuid": "114" }, "details": { "fields": [], "sections": [{ "name": "", "title": "", "fields": [{
        "n": "private_key", "k": "sshKey", "t": "private key", "v": "-----BEGIN PRIVATE KEY-----",
        "a": { "sshKeyAttributes": { "publicKey": "ssh-ed25519 AAAA", "fingerprint": "SHA256:x", "keyType": { "t": "ed25519" }, "privateKey": "-----BEGIN PRIVATE KEY-----" } },
    }] }] } })),
    Obstacle::Contents
)]
#[tokio::test]
async fn an_item_that_the_core_refuses_to_share_is_told_by_what_is_in_it(
    #[case] item: Item,
    #[case] obstacle: Obstacle,
) {
    let world = World::new().await;
    let (vault, id) = put(&world, &item).await;
    let account = world.lender().await;
    let listed = account.items(&vault).await.result.expect("a list");
    assert!(listed.iter().any(|seen| seen.id == id));
    let fetched = account.item(&vault, &id).await.result.expect("the item");
    let policy = account.share_policy(&vault, &id).await.result;
    let policy = policy.expect("a policy");

    let answer = account
        .share(&fetched, &policy, &terms(&["alice@example.com"]))
        .await;
    let error = answer.result.expect_err("refused");
    assert_eq!(error.problem(), Problem::CannotShare(obstacle), "{error}");
    assert_eq!(error.effect(), Effect::None);
    assert_eq!(routes(&answer.exchanges), [Route::ShareRecipients]);
    // The client is as good as before.
    let again = account.item(&vault, &id).await;
    assert_eq!(routes(&again.exchanges), [Route::Item]);
}

#[tokio::test]
async fn an_item_that_is_too_large_is_refused_by_1password() {
    let fields: Vec<_> = (0..30_000)
        .map(|n| field(&n.to_string(), "string", json!("x".repeat(20))))
        .collect();
    let item = with_sections(json!([{ "name": "s", "title": "S", "fields": fields }]));
    let world = World::new().await;
    let (vault, id) = put(&world, &item).await;
    let account = world.lender().await;
    let fetched = account.item(&vault, &id).await.result.expect("the item");
    let policy = account.share_policy(&vault, &id).await.result;
    let (policy, alice) = (policy.expect("a policy"), terms(&["alice@example.com"]));
    let shared = account.share(&fetched, &policy, &alice).await;
    let error = shared.result.expect_err("refused");
    assert_eq!(error.problem(), Problem::NotShareable(413), "{error}");
}

/// Puts the item into the account; returns its ids.
async fn put(world: &World, item: &Item) -> (VaultId, ItemId) {
    let id = world.control.add_item("Infra", item).await.expect("put");
    let vaults = world.control.vaults().await.expect("the vaults");
    let vault = vaults.into_iter().find(|vault| vault.title == "Infra");
    (VaultId(vault.expect("Infra").id), ItemId(id))
}
