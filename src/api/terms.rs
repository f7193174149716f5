//! What was agreed for one loan, and the decisions that made it so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::flow::{ApprovalMode, LinkLifetime, Renewal, Requirement, WithoutAddress};
use super::identity::PersonKind;
use super::values::{AccessDetails, Email, Resolved, Span, Time};

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
    /// Who has to agree, as the flow named them; absent where it asks for nobody's approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<AgreedApproval>,
    /// The integration's owners: they may end the loan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub owners: Vec<AgreedPerson>,
}

/// Who has to agree, with owners resolved to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgreedApproval {
    /// Whether any one or all of the groups have to agree.
    pub mode: ApprovalMode,
    /// Groups of people who decide.
    #[schemars(length(min = 1, max = 10))]
    pub groups: Vec<AgreedGroup>,
    /// How long a request waits for approval, from its creation.
    pub timeout: Span,
    /// Whether an approver has to say why.
    pub reason: Requirement,
    /// Whether the approval of somebody counts whose e-mail address the cluster does not know.
    #[serde(default)]
    pub without_address: WithoutAddress,
}

/// A group of people of whom a number has to agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgreedGroup {
    /// The group's name in the flow.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// How many different people of the group have to agree.
    #[schemars(range(min = 1, max = 10))]
    pub required: u32,
    /// Who belongs to it.
    #[schemars(length(max = 1000))]
    pub approvers: Vec<AgreedPerson>,
}

/// A person or a group of people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgreedPerson {
    /// What the name names.
    pub kind: PersonKind,
    /// The username or the group.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
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
    /// The uid of the AccessDecision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The name of the AccessDecision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who decided, by username.
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
    /// For how long at the most, where an approval shortened the loan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Span>,
}
