//! What was agreed for one loan, and the decisions that made it so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccessDetails, Decision, Email, LinkLifetime, Renewal, Resolved, Span, Time};

/// All that was agreed for one loan. A loan that runs keeps its terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// The integration, by namespace, name and uid.
    pub integration: ObjectIdentity,
    /// The service account's address at 1Password.
    pub account: String,
    /// The flow, by namespace, name and uid.
    pub flow: ObjectIdentity,
    /// The flow's generation: its rules as they were.
    pub flow_generation: i64,
    /// The vault.
    pub vault: Resolved,
    /// The item.
    pub item: Resolved,
    /// When the item had last been changed.
    pub item_updated_at: Time,
    /// Who owns the item, by its owner tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_owner: Option<String>,
    /// Who can open the links.
    #[schemars(length(max = 10))]
    pub recipients: Vec<Email>,
    /// How long the loan lasts.
    pub duration: Span,
    /// Whether the one link opens just once.
    pub view_once: bool,
    /// How long each link opens at the most.
    pub link_lifetime: LinkLifetime,
    /// Whether further links are issued.
    pub renewal: Renewal,
    /// How to use what was lent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_details: Option<AccessDetails>,
}

/// An object that cannot be mistaken for a later one of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectIdentity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// A decision that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountedDecision {
    /// Who decided.
    pub user: String,
    /// What.
    pub decision: Decision,
    /// For which group of the flow's approvers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When.
    pub at: Time,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
