//! What fuzzing reaches of the port: how the core's answers are read, and the next question made of
//! them. In no program.

use serde_json::Value;
use zeroize::Zeroizing;

use super::calls::{self, Json};
use super::items::{ItemId, VaultId};
use super::shares::{Recipients, ShareLifetime, ShareTerms};

/// Reads the bytes as each of the core's answers.
pub fn read_answers(bytes: &[u8]) {
    let answer = || Zeroizing::new(bytes.to_vec());
    calls::client_id(&answer());
    calls::read_vaults(answer());
    calls::read_items(answer());
    calls::read_share_url(&answer());
    for asked in [false, true] {
        calls::problem_of(&answer(), asked).to_string();
    }
}

/// Asks for a share with the core's own answers in the question: an item, a policy and validated
/// recipients. The question is JSON with exactly these in their places.
pub fn ask_for_a_share(item: &[u8], policy: &[u8], validated: &[u8]) {
    let answer = |bytes: &[u8]| -> Json { Zeroizing::new(bytes.to_vec()) };
    let Ok(recipients) = Recipients::new(["alice@example.com"]) else {
        return;
    };
    let (Some(item), Some(policy), Some(validated)) = (
        calls::read_item(answer(item)),
        calls::read_share_policy(answer(policy)),
        calls::read_validated(&answer(validated), &recipients),
    ) else {
        return;
    };
    let terms = ShareTerms {
        recipients,
        lifetime: ShareLifetime::OneHour,
        view_once: true,
    };
    let input = calls::create_share(&item, &policy, &validated, &terms).input(7);
    // Numbers beyond JSON's usual ones and keys that occur twice are the core's own.
    let Ok(question) = serde_json::from_slice::<Value>(&input) else {
        return;
    };
    let parameters = &question["invocation"]["parameters"];
    assert_eq!(question["invocation"]["clientId"], 7);
    assert_eq!(parameters["name"], "ItemsSharesCreate");
    let given = &parameters["parameters"];
    assert_eq!(given.as_object().map(|given| given.len()), Some(3));
    assert_eq!(given["params"]["expireAfter"], "OneHour");
    assert_eq!(given["params"]["oneTimeOnly"], true);
    let people = given["params"]["recipients"].as_array();
    assert!(people.is_some_and(|people| people.len() == 1));
    assert_eq!(given["item"]["id"], *item.id.0);
}

/// Asks for an item with any ids: they are in their places, as they are.
pub fn ask_for_an_item(vault: &str, item: &str) {
    let input = calls::item(&VaultId(vault.to_owned()), &ItemId(item.to_owned())).input(7);
    let question: Value = serde_json::from_slice(&input).unwrap_or_default();
    let given = &question["invocation"]["parameters"]["parameters"];
    assert_eq!(given["vault_id"], *vault);
    assert_eq!(given["item_id"], *item);
}
