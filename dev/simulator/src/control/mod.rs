//! The control API: what tests, the demo and the benchmark steer the simulator with. JSON under `/_control`.

mod api;
mod client;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use api::router;
pub use client::{Control, ControlError};

use crate::account::{Field, ShareType};

/// Changes to an item; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ItemChanges {
    /// A new title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The new tags, which replace all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// The new fields, which replace all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<Field>>,
    /// New notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Into the archive, or back.
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
    /// Grows with each change.
    pub version: u32,
    /// The last change, in whole seconds.
    pub updated_at: Timestamp,
    /// Whether it is in the archive.
    pub archived: bool,
}

/// A share as the control API lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareSummary {
    /// The share's id; the link's secret is not known here.
    pub uuid: String,
    /// The vault's id.
    pub vault: String,
    /// The item's id.
    pub item: String,
    /// The item's version that was copied.
    pub item_version: u32,
    /// By whom.
    pub service_account: String,
    /// To recipients or to anyone.
    #[serde(rename = "type")]
    pub kind: ShareType,
    /// Addresses and domains, in lower case.
    pub recipients: Vec<String>,
    /// By the simulator's clock.
    pub created_at: Timestamp,
    /// By the simulator's clock.
    pub expires_at: Timestamp,
    /// How often it can be viewed.
    pub max_views: Option<u32>,
    /// How often it was viewed.
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
