//! The recipient of a share: derives the keys from the link, fetches the copy and decrypts it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::account::{FieldKind, Item};
use crate::crypto::{Envelope, ShareSecret};
use crate::routes::{View, Viewed};

/// The item as the recipient sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedItem {
    /// The title.
    pub title: String,
    /// The item's fields.
    pub fields: Vec<OpenedField>,
    /// Free text.
    pub notes: String,
}

impl OpenedItem {
    /// Whether this is exactly the item of an account's file; fields may be in any order.
    pub fn is_all_of(&self, item: &Item) -> bool {
        let mut shown: Vec<_> = self.fields.iter().map(|f| (&*f.label, &*f.value)).collect();
        let mut kept: Vec<_> = item.fields.iter().map(|f| (&*f.label, &*f.value)).collect();
        shown.sort_unstable();
        kept.sort_unstable();
        self.title == item.title && self.notes == item.notes && shown == kept
    }

    /// The value of the field with this label.
    pub fn value(&self, label: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|field| field.label == label)
            .map(|field| &*field.value)
    }
}

/// A field as the recipient sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedField {
    /// The label that people see.
    pub label: String,
    /// In plain text.
    pub value: String,
    /// Whether it is hidden at first.
    pub kind: FieldKind,
}

/// Why a share does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the share does not open: {reason}")]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
}

/// Why a share does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The link is not one of this simulator's: it has another origin, or no secret after `#`.
    #[error("the link is not one of this simulator's share links")]
    NotALink,
    /// There is no share with this id, or the token is wrong.
    #[error("there is no such share")]
    Unknown,
    /// It is for another address.
    #[error("it is for someone else")]
    WrongRecipient,
    /// Its time has passed.
    #[error("it has expired")]
    Expired,
    /// It has reached its maximum number of views.
    #[error("it was viewed as often as it may be")]
    UsedUp,
    /// The copy does not decrypt with the key in the link, or is not an item.
    #[error("its content cannot be read: {0}")]
    Unreadable(String),
    /// No answer from the simulator.
    #[error("the simulator does not answer: {0}")]
    Unreachable(String),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason }
    }
}

/// Opens `link` on the service at `origin`, as the owner of `email`.
pub async fn open(
    client: &reqwest::Client,
    origin: &str,
    link: &str,
    email: &str,
) -> Result<OpenedItem, Refusal> {
    let secret = secret_of(link, origin).ok_or(Reason::NotALink)?;
    let unreachable = |error: reqwest::Error| Reason::Unreachable(error.to_string());
    let view = View {
        token: secret.token.clone(),
        email: email.to_owned(),
    };
    let request = client
        .post(format!("{origin}/s/{}/view", secret.uuid))
        .json(&view);
    let response = request.send().await.map_err(unreachable)?;
    let reason = match response.status().as_u16() {
        200 => {
            let viewed: Viewed = response.json().await.map_err(unreachable)?;
            return Ok(read(&viewed, &secret)?);
        }
        403 => Reason::WrongRecipient,
        404 => Reason::Unknown,
        409 => Reason::UsedUp,
        410 => Reason::Expired,
        other => Reason::Unreachable(format!("status {other}")),
    };
    Err(reason.into())
}

fn secret_of(link: &str, origin: &str) -> Option<ShareSecret> {
    let link = Url::parse(link).ok()?;
    let ours = link.origin() == Url::parse(origin).ok()?.origin() && link.path() == "/s";
    ours.then(|| ShareSecret::derive(link.fragment()?))
        .flatten()
}

#[derive(Deserialize)]
struct Overview {
    title: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    fields: Vec<LoginField>,
    #[serde(default)]
    sections: Vec<Section>,
    #[serde(default)]
    notes_plain: Option<String>,
    /// Of a password item.
    #[serde(default)]
    password: Option<String>,
}

/// A login's user name or password.
#[derive(Deserialize)]
struct LoginField {
    name: String,
    value: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Section {
    #[serde(default)]
    fields: Vec<SectionField>,
}

#[derive(Deserialize)]
struct SectionField {
    #[serde(rename = "t")]
    label: String,
    /// A text, a number for a date, an object for an address, or nothing.
    #[serde(rename = "v", default)]
    value: Value,
    #[serde(rename = "k")]
    kind: String,
}

fn read(viewed: &Viewed, secret: &ShareSecret) -> Result<OpenedItem, Reason> {
    let overview: Overview = decrypt(&viewed.enc_overview, secret)?;
    let details: Details = decrypt(&viewed.enc_details, secret)?;
    let kind = |is_concealed| {
        if is_concealed {
            FieldKind::Concealed
        } else {
            FieldKind::Text
        }
    };
    let apart = details.fields.into_iter().map(|field| OpenedField {
        label: field.name,
        value: field.value,
        kind: kind(field.kind == "P"),
    });
    let password = details.password.map(|value| OpenedField {
        label: "password".into(),
        value,
        kind: FieldKind::Concealed,
    });
    let in_sections = details
        .sections
        .into_iter()
        .flat_map(|section| section.fields);
    let in_sections = in_sections.map(|field| OpenedField {
        label: field.label,
        value: match field.value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        },
        kind: kind(field.kind == "concealed"),
    });
    Ok(OpenedItem {
        title: overview.title,
        fields: apart.chain(password).chain(in_sections).collect(),
        notes: details.notes_plain.unwrap_or_default(),
    })
}

fn decrypt<T: for<'de> Deserialize<'de>>(
    envelope: &Envelope,
    secret: &ShareSecret,
) -> Result<T, Reason> {
    let plain = secret
        .key
        .open(envelope)
        .map_err(|error| Reason::Unreadable(error.to_string()))?;
    // The parser's message could quote the plaintext.
    serde_json::from_slice(&plain).map_err(|_| Reason::Unreadable("it is no item".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;

    #[test]
    fn only_the_whole_item_as_it_is_will_do() {
        let account = Account::parse(include_str!("../account.example.yaml")).unwrap();
        let items = account.vaults.iter().flat_map(|vault| &vault.items);
        let item = items.max_by_key(|item| item.fields.len()).unwrap();
        let fields = item.fields.iter().rev().map(|field| OpenedField {
            label: field.label.clone(),
            value: field.value.clone(),
            kind: field.kind,
        });
        let whole = OpenedItem {
            title: item.title.clone(),
            fields: fields.collect(),
            notes: item.notes.clone(),
        };
        assert!(whole.fields.len() > 1 && whole.is_all_of(item));
        let changed = |change: fn(&mut OpenedItem)| {
            let mut changed = whole.clone();
            change(&mut changed);
            changed
        };
        for other in [
            changed(|seen| drop(seen.fields.pop())),
            changed(|seen| seen.fields.push(seen.fields[0].clone())),
            changed(|seen| seen.fields[0].value.push('x')),
            changed(|seen| seen.title.push('x')),
            changed(|seen| seen.notes.push('x')),
        ] {
            assert!(!other.is_all_of(item), "{other:?}");
        }
    }
}
