//! The core's calls, typed: the JSON input, the output, and the meaning of its complaints.
//!
//! Secrets are written into one buffer of the right size from the start: a growing buffer leaves
//! copies behind that nothing overwrites.

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::errors::{Fault, Problem, Refusal};
use super::items::{Item, ItemId, ItemOverview, Vault, VaultId};
use super::obstacle::Obstacle;
use super::shares::{Recipients, ShareLifetime, SharePolicy, ShareTerms, ShareUrl};
use super::token::ServiceAccountToken;

/// A call's input or output: JSON that may contain secrets.
pub(super) type Json = Zeroizing<Vec<u8>>;

/// One method of the core with its parameters, before the client is known.
pub(super) struct Invocation<'a> {
    method: &'static str,
    /// Names, and values in JSON.
    parameters: Vec<(&'static str, Part<'a>)>,
}

enum Part<'a> {
    Borrowed(&'a str),
    Owned(String),
}

impl Part<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl Invocation<'_> {
    /// The input of the core's `invoke`.
    pub(super) fn input(&self, client: u64) -> Json {
        let client = client.to_string();
        let mut parts = vec![
            r#"{"invocation":{"clientId":"#,
            &client,
            r#","parameters":{"name":""#,
            self.method,
            r#"","parameters":{"#,
        ];
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            parts.extend([
                if index == 0 { "\"" } else { ",\"" },
                name,
                "\":",
                value.text(),
            ]);
        }
        parts.push("}}}}");
        joined(&parts)
    }
}

fn joined(parts: &[&str]) -> Json {
    let mut whole = Zeroizing::new(Vec::with_capacity(
        parts.iter().map(|part| part.len()).sum(),
    ));
    for part in parts {
        whole.extend_from_slice(part.as_bytes());
    }
    whole
}

fn text(value: &str) -> Part<'static> {
    Part::Owned(json!(value).to_string())
}

/// The input of the core's `init_client`.
///
/// The core serves 1Password's own SDKs and expects the name of the calling one; this is the Go SDK
/// that it was taken from.
pub(super) fn sign_in(token: &ServiceAccountToken) -> Json {
    let about = json!({
        "programmingLanguage": "Go",
        "sdkVersion": "0040001",
        "integrationName": "Keyloan",
        "integrationVersion": concat!("v", env!("CARGO_PKG_VERSION")),
        "requestLibraryName": "hyper",
        "requestLibraryVersion": "1",
        "os": std::env::consts::OS,
        "osVersion": "0.0.0",
        "architecture": std::env::consts::ARCH,
    })
    .to_string();
    // A token consists of letters, digits, `-`, `_` and `=`, so it needs no escaping.
    joined(&[
        r#"{"serviceAccountToken":""#,
        token.expose(),
        r#"","#,
        about.trim_start_matches('{'),
    ])
}

/// The id of the client that a sign-in created.
pub(super) fn client_id(output: &Json) -> Option<u64> {
    serde_json::from_slice(output).ok()
}

/// Lists the vaults.
pub(super) fn vaults() -> Invocation<'static> {
    Invocation {
        method: "VaultsList",
        parameters: vec![("params", Part::Borrowed("null"))],
    }
}

pub(super) fn read_vaults(output: Json) -> Option<Vec<Vault>> {
    serde_json::from_slice(&output).ok()
}

/// Without this filter the core leaves out archived items, and the operator could not tell
/// requesters why theirs cannot be lent.
const ALL_STATES: &str = r#"[{"type":"ByState","content":{"active":true,"archived":true}}]"#;

/// Lists a vault's items.
pub(super) fn items(vault: &VaultId) -> Invocation<'static> {
    Invocation {
        method: "ItemsList",
        parameters: vec![
            ("vault_id", text(&vault.0)),
            ("filters", Part::Borrowed(ALL_STATES)),
        ],
    }
}

pub(super) fn read_items(output: Json) -> Option<Vec<ItemOverview>> {
    serde_json::from_slice(&output).ok()
}

/// Gets an item.
pub(super) fn item(vault: &VaultId, item: &ItemId) -> Invocation<'static> {
    Invocation {
        method: "ItemsGet",
        parameters: vec![("vault_id", text(&vault.0)), ("item_id", text(&item.0))],
    }
}

pub(super) fn read_item(mut output: Json) -> Option<Item> {
    let json = String::from_utf8(std::mem::take(&mut *output))
        .map_err(|error| Zeroizing::new(error.into_bytes()))
        .ok()?;
    Item::from_json(Zeroizing::new(json)).ok()
}

/// Gets the share policy for an item.
pub(super) fn share_policy(vault: &VaultId, item: &ItemId) -> Invocation<'static> {
    Invocation {
        method: "ItemsSharesGetAccountPolicy",
        parameters: vec![("vault_id", text(&vault.0)), ("item_id", text(&item.0))],
    }
}

pub(super) fn read_share_policy(mut output: Json) -> Option<SharePolicy> {
    SharePolicy::from_json(String::from_utf8(std::mem::take(&mut *output)).ok()?)
}

/// Checks recipients against the policy.
pub(super) fn validate<'a>(policy: &'a SharePolicy, recipients: &Recipients) -> Invocation<'a> {
    Invocation {
        method: "ItemsSharesValidateRecipients",
        parameters: vec![
            ("policy", Part::Borrowed(policy.json())),
            (
                "recipients",
                Part::Owned(json!(recipients.addresses()).to_string()),
            ),
        ],
    }
}

/// The validated recipients in the form that the core takes back; `None` unless they are exactly
/// the requested ones, each as an address. (The core reads some texts as a whole domain; such a
/// share would be open to too many people.)
pub(super) fn read_validated(output: &Json, recipients: &Recipients) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(tag = "type", content = "parameters")]
    enum Validated {
        Email { email: String },
    }
    let validated: Vec<Validated> = serde_json::from_slice(output).ok()?;
    let asked = recipients.addresses();
    let same = validated.len() == asked.len()
        && asked.iter().all(|address| {
            validated
                .iter()
                .any(|Validated::Email { email }| email.eq_ignore_ascii_case(address))
        });
    if same {
        String::from_utf8(output.to_vec()).ok()
    } else {
        None
    }
}

/// Creates a share for validated recipients.
pub(super) fn create_share<'a>(
    item: &'a Item,
    policy: &'a SharePolicy,
    validated: &str,
    terms: &ShareTerms,
) -> Invocation<'a> {
    let params = format!(
        r#"{{"recipients":{validated},"expireAfter":"{}","oneTimeOnly":{}}}"#,
        word(terms.lifetime),
        terms.view_once
    );
    Invocation {
        method: "ItemsSharesCreate",
        parameters: vec![
            ("item", Part::Borrowed(item.expose_json())),
            ("policy", Part::Borrowed(policy.json())),
            ("params", Part::Owned(params)),
        ],
    }
}

pub(super) fn read_share_url(output: &Json) -> Option<ShareUrl> {
    serde_json::from_slice(output).ok().map(ShareUrl::new)
}

fn word(lifetime: ShareLifetime) -> &'static str {
    match lifetime {
        ShareLifetime::OneHour => "OneHour",
        ShareLifetime::OneDay => "OneDay",
        ShareLifetime::SevenDays => "SevenDays",
        ShareLifetime::FourteenDays => "FourteenDays",
        ShareLifetime::ThirtyDays => "ThirtyDays",
    }
}

/// The core's complaint after all its requests were answered well. Its text is examined here and
/// goes no further, because it may quote the input.
pub(super) fn problem_of(complaint: &Json, asked_1password: bool) -> Problem {
    #[derive(Deserialize, Default)]
    struct Complaint {
        #[serde(default)]
        name: String,
    }
    let text = std::str::from_utf8(complaint).unwrap_or_default();
    let complaint: Complaint = serde_json::from_str(text).unwrap_or_default();
    let says = |words: &str| text.contains(words);
    if says("not in an active state") {
        Problem::NotActive
    } else if says("forbidden recipient type") {
        Problem::Refused(Refusal::RecipientKind)
    } else if says("not permitted by account policy") || says("parse item share recipient") {
        Problem::Refused(Refusal::Recipients)
    } else if complaint.name == "InvalidConfiguration" && !asked_1password {
        // An impossible id: nothing can have it.
        Problem::NotFound
    } else if asked_1password {
        Problem::Broken(Fault::Answer)
    } else {
        Problem::Broken(Fault::Call)
    }
}

/// The core's complaint about a share. If it comes before any request, the core does not share this
/// item as it is.
pub(super) fn problem_of_share(complaint: &Json, asked_1password: bool) -> Problem {
    match problem_of(complaint, asked_1password) {
        Problem::Broken(Fault::Call) | Problem::NotFound => {
            let words = std::str::from_utf8(complaint).unwrap_or_default();
            Problem::CannotShare(Obstacle::told_by(words))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn bytes(text: &str) -> Json {
        Zeroizing::new(text.as_bytes().to_vec())
    }

    #[test]
    fn an_invocation_is_valid_json_whatever_the_ids() {
        let input = item(&VaultId("a\"b".into()), &ItemId("c\\d".into())).input(7);
        let read: serde_json::Value = serde_json::from_slice(&input).expect("JSON");
        let expected = json!({"invocation": {"clientId": 7, "parameters":
            {"name": "ItemsGet", "parameters": {"vault_id": "a\"b", "item_id": "c\\d"}}}});
        assert_eq!(read, expected);
        assert_eq!(input.len(), input.capacity(), "the buffer has not grown");
    }

    #[rstest]
    #[case::same(
        r#"[{"type":"Email","parameters":{"email":"Alice@example.com"}}]"#,
        true
    )]
    #[case::domain(r#"[{"type":"Domain","parameters":{"domain":"example.com"}}]"#, false)]
    #[case::nobody("[]", false)]
    #[case::another(
        r#"[{"type":"Email","parameters":{"email":"bob@example.com"}}]"#,
        false
    )]
    #[case::one_more(r#"[{"type":"Email","parameters":{"email":"alice@example.com"}},{"type":"Email","parameters":{"email":"bob@example.com"}}]"#, false)]
    fn only_the_very_recipients_that_were_asked_about_are_passed_on(
        #[case] output: &str,
        #[case] accepted: bool,
    ) {
        let recipients = Recipients::new(["alice@example.com"]).expect("alice");
        assert_eq!(
            read_validated(&bytes(output), &recipients).is_some(),
            accepted
        );
    }

    #[rstest]
    #[case("ItemApi", "item is not in an active state", true, Problem::NotActive)]
    #[case(
        "ItemApi",
        "bad input passed by the user: forbidden recipient type",
        false,
        Problem::Refused(Refusal::RecipientKind)
    )]
    #[case(
        "ItemApi",
        "bad input passed by the user: recipient list contained recipients that are not permitted by account policy",
        true,
        Problem::Refused(Refusal::Recipients)
    )]
    #[case("InvalidConfiguration", "whatever", false, Problem::NotFound)]
    #[case("Internal", "invalid client id", false, Problem::Broken(Fault::Call))]
    #[case(
        "ItemApi",
        "DecryptingSymmetricKey(GcmFailedToDecrypt)",
        true,
        Problem::Broken(Fault::Answer)
    )]
    fn a_complaint_is_told_by_what_it_is_about(
        #[case] name: &str,
        #[case] message: &str,
        #[case] asked: bool,
        #[case] problem: Problem,
    ) {
        let complaint = bytes(&json!({"name": name, "message": message}).to_string());
        assert_eq!(problem_of(&complaint, asked), problem);
    }

    #[rstest]
    #[case::before_a_request(
        "InvalidConfiguration",
        "An unsupported item category was specified",
        false,
        Problem::CannotShare(Obstacle::Category)
    )]
    #[case::in_new_words(
        "Internal",
        "whatever",
        false,
        Problem::CannotShare(Obstacle::Contents)
    )]
    #[case::after_a_request("ItemApi", "whatever", true, Problem::Broken(Fault::Answer))]
    #[case::by_the_policy(
        "ItemApi",
        "bad input passed by the user: forbidden recipient type",
        false,
        Problem::Refused(Refusal::RecipientKind)
    )]
    fn a_complaint_about_a_share_is_about_the_item(
        #[case] name: &str,
        #[case] message: &str,
        #[case] asked: bool,
        #[case] problem: Problem,
    ) {
        let complaint = bytes(&json!({"name": name, "message": message}).to_string());
        assert_eq!(problem_of_share(&complaint, asked), problem);
    }

    #[test]
    fn an_unreadable_complaint_is_still_a_complaint() {
        assert_eq!(
            problem_of(&bytes("not JSON"), false),
            Problem::Broken(Fault::Call)
        );
    }
}
