//! The control API, with which tests, the demo and the benchmark control the simulator. JSON under
//! `/_control`.

mod api;
mod client;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use api::router;
pub use client::{Control, ControlError};

use crate::account::{Field, ShareType};

/// Changes to an item; absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ItemChanges {
    /// A new title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The new tags; they replace all old ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// The new fields; they replace all old ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<Field>>,
    /// New notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Whether to archive the item or restore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}

/// A vault as the control API lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultSummary {
    /// 26 lower-case characters.
    pub id: String,
    /// Not unique.
    pub title: String,
    /// In order.
    pub items: Vec<ItemSummary>,
}

/// An item as the control API lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemSummary {
    /// 26 lower-case characters.
    pub id: String,
    /// Not unique.
    pub title: String,
    /// Increases with each change.
    pub version: u32,
    /// The time of the last change, in whole seconds.
    pub updated_at: Timestamp,
    /// Whether the item is archived.
    pub archived: bool,
}

/// A share as the control API lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareSummary {
    /// The share's id; the simulator does not know the link's secret.
    pub uuid: String,
    /// The vault's id.
    pub vault: String,
    /// The item's id.
    pub item: String,
    /// The item's version that was copied.
    pub item_version: u32,
    /// The service account that created the share.
    pub service_account: String,
    /// Whether the share is for recipients or for anyone.
    #[serde(rename = "type")]
    pub kind: ShareType,
    /// Addresses and domains, in lower case.
    pub recipients: Vec<String>,
    /// By the simulator's clock.
    pub created_at: Timestamp,
    /// By the simulator's clock.
    pub expires_at: Timestamp,
    /// The maximum number of views.
    pub max_views: Option<u32>,
    /// The number of views.
    pub views: u32,
}

#[derive(Serialize, Deserialize)]
struct Token {
    token: String,
}

#[derive(Serialize, Deserialize)]
struct Time {
    now: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Shift {
    milliseconds: i64,
}

#[derive(Serialize, Deserialize)]
struct Id {
    id: String,
}
