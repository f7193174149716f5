//! Vaults and items in the port's terms. An item's content is zeroized and cannot be shown.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A vault's id: 26 characters, case matters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VaultId(pub String);

/// An item's id: 26 characters, case matters; unique within its vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemId(pub String);

impl fmt::Display for VaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A vault that the account can read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Vault {
    /// Its id.
    pub id: VaultId,
    /// Its title; titles need not be unique.
    pub title: String,
    /// The number of its items, archived ones excluded.
    #[serde(rename = "activeItemCount", default)]
    pub items: Option<u32>,
}

/// An item in a vault's list: everything but its fields.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemOverview {
    /// Its id.
    pub id: ItemId,
    /// Its title; titles need not be unique.
    pub title: String,
    /// Its kind in 1Password's terms, such as `Login` or `Database`.
    pub category: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The time of its last change.
    pub updated_at: Timestamp,
    /// Whether it is active.
    #[serde(default)]
    pub state: ItemState,
}

/// Whether an item is active; only active items can be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemState {
    /// Active.
    #[default]
    Active,
    /// Archived.
    Archived,
}

/// A whole item, fetched to be shared. Its content is zeroized when dropped, and never shown.
#[derive(Debug)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// The vault it is in.
    pub vault: VaultId,
    /// Its title.
    pub title: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The number of its changes.
    pub version: u32,
    /// The time of its last change.
    pub updated_at: Timestamp,
    content: ItemContent,
}

/// The JSON of a whole item, in the form that the core gives and takes. Opaque, zeroized, never
/// shown.
pub struct ItemContent(Zeroizing<String>);

/// The core's JSON of an item was incomplete or invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the item's JSON is not as expected")]
pub struct UnreadableItem;

impl Item {
    /// Reads the facts that the operator needs from the item's JSON, and keeps the JSON for sharing
    /// it.
    pub fn from_json(json: Zeroizing<String>) -> Result<Self, UnreadableItem> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Facts {
            id: ItemId,
            vault_id: VaultId,
            title: String,
            #[serde(default)]
            tags: Vec<String>,
            version: u32,
            updated_at: Timestamp,
        }
        // The parser's message may quote a value, so it goes no further.
        let facts: Facts = serde_json::from_str(&json).map_err(|_| UnreadableItem)?;
        Ok(Self {
            id: facts.id,
            vault: facts.vault_id,
            title: facts.title,
            tags: facts.tags,
            version: facts.version,
            updated_at: facts.updated_at,
            content: ItemContent(json),
        })
    }

    /// The item's JSON, for the core alone.
    pub(super) fn expose_json(&self) -> &str {
        &self.content.0
    }
}

impl fmt::Debug for ItemContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &str = r#"{"id":"i","vaultId":"v","title":"db","category":"Database","tags":["prod"],"version":3,
        "fields":[{"value":"planted-secret"}],"updatedAt":"2026-11-23T12:00:00Z"}"#;

    #[test]
    fn an_item_shows_what_it_is_but_not_what_it_holds() {
        let item = Item::from_json(Zeroizing::new(ITEM.to_owned())).expect("an item");
        let shown = format!("{item:?}");
        assert!(
            shown.contains("db") && shown.contains("version: 3"),
            "{shown}"
        );
        assert!(!shown.contains("planted"), "{shown}");
        assert!(item.expose_json().contains("planted-secret"));
    }

    #[test]
    fn an_unreadable_item_is_not_quoted() {
        let json = r#"{"id":"i","vaultId":"v","title":"db","version":"planted-secret"}"#;
        let error = Item::from_json(Zeroizing::new(json.to_owned())).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("planted"));
    }
}
