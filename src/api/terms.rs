//! The terms of one loan, and the decisions that approved them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::flow::{ApprovalMode, LinkLifetime, Renewal, Requirement, WithoutAddress};
use super::identity::PersonKind;
use super::values::{AccessDetails, Email, Resolved, Span, Time};

/// The terms of one loan. A running loan keeps its terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// The integration, by namespace, name and uid.
    pub integration: ObjectIdentity,
    /// The service account's address at 1Password.
    pub account: String,
    /// The flow, by namespace, name and uid.
    pub flow: ObjectIdentity,
    /// The flow's generation, which identifies the rules that applied.
    pub flow_generation: i64,
    /// The vault.
    pub vault: Resolved,
    /// The item.
    pub item: Resolved,
    /// The time of the item's last change.
    pub item_updated_at: Time,
    /// The item's owner, according to its owner tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_owner: Option<String>,
    /// The e-mail addresses that can open the links.
    #[schemars(length(max = 10))]
    pub recipients: Vec<Email>,
    /// The duration of the loan.
    pub duration: Span,
    /// Whether the loan has a single-view link.
    pub view_once: bool,
    /// The longest lifetime of each link.
    pub link_lifetime: LinkLifetime,
    /// Whether the requester can request further links.
    pub renewal: Renewal,
    /// How to use the lent item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_details: Option<AccessDetails>,
    /// The required approvals, as the flow named them. Absent if the flow does not require
    /// approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<AgreedApproval>,
    /// The integration's owners, who may end the loan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub owners: Vec<AgreedPerson>,
}

/// The required approvals, with owners resolved to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgreedApproval {
    /// Whether any one group or all groups have to approve.
    pub mode: ApprovalMode,
    /// The groups of approvers.
    #[schemars(length(min = 1, max = 10))]
    pub groups: Vec<AgreedGroup>,
    /// How long a request waits for approval after its creation.
    pub timeout: Span,
    /// Whether an approver has to give a reason.
    pub reason: Requirement,
    /// Whether to count the approval of a person whose e-mail address the cluster does not know.
    #[serde(default)]
    pub without_address: WithoutAddress,
}

/// A group of approvers, and how many of them have to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgreedGroup {
    /// The group's name in the flow.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// How many different members of the group have to approve.
    #[schemars(range(min = 1, max = 10))]
    pub required: u32,
    /// The members of the group.
    #[schemars(length(max = 1000))]
    pub approvers: Vec<AgreedPerson>,
}

/// A person or a group of people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgreedPerson {
    /// Whether the name is a user's or a group's.
    pub kind: PersonKind,
    /// The username, e-mail address or group name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}

/// A reference to one object, not to a later one of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectIdentity {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The object's uid.
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
    /// The username of the person who decided.
    pub user: String,
    /// The decision.
    pub decision: Decision,
    /// The approver group for which the decision counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The time of the decision.
    pub at: Time,
    /// The reason for the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The longest duration that the approval allows, if it shortened the loan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Span>,
}

/// A flow that was considered and not chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsideredFlow {
    /// The flow's name.
    pub name: String,
    /// The reason why it was not chosen.
    pub reason: String,
}

/// A decision that had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgnoredDecision {
    /// The AccessDecision's uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The AccessDecision's name.
    pub name: String,
    /// The username of the person who made it.
    pub user: String,
    /// The decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The reason why it has no effect.
    pub reason: String,
}
