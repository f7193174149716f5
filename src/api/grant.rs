//! `AccessGrant`: a request for an item and, once granted, the loan.

use std::fmt;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::Condition;
use super::identity::Identity;
use super::record::RequestOutcome;
use super::terms::{ConsideredFlow, CountedDecision, IgnoredDecision, Terms};
use super::values::{
    AN_HOUR_OR_MORE, AccessDetails, Email, IntegrationName, LABEL_PATTERN, NAME_PATTERN, Span,
    TIME_PATTERN, Time, TitleOrId,
};

/// A request to borrow one item and, once granted, the loan. The spec cannot be changed: create
/// another request instead.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keyloan.dev",
    version = "v1alpha1",
    kind = "AccessGrant",
    plural = "accessgrants",
    shortname = "grant",
    category = "keyloan",
    namespaced,
    status = "AccessGrantStatus",
    derive = "PartialEq",
    selectable = ".spec.integration.name",
    selectable = ".spec.requester.username",
    selectable = ".status.phase",
    printcolumn(name = "Item", type_ = "string", json_path = ".spec.item.item"),
    printcolumn(
        name = "Requester",
        type_ = "string",
        json_path = ".spec.requester.username"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(
        name = "Flow",
        type_ = "string",
        json_path = ".status.flow",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("self == oldSelf")
    .message("a request cannot be changed after its creation: delete it and request again"))]
#[x_kube(validation = Rule::new("!has(self.viewOnce) || !self.viewOnce || !has(self.recipients) || self.recipients.size() <= 1")
    .message("a single-view link can have only one recipient"))]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantSpec {
    /// The integration to borrow from.
    pub integration: IntegrationRef,
    /// The item to borrow.
    pub item: ItemRef,
    /// The duration of the loan, such as `4h`, `90m`, `1d12h` or `2w`; at least `1h`. Default: the
    /// flow's `defaultDuration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("duration must be at least 1h, the shortest 1Password link lifetime"))]
    pub duration: Option<Span>,
    /// The e-mail addresses that can open the links, 1 to 10. Default: the requester's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10), extend("x-kubernetes-list-type" = "set"))]
    pub recipients: Option<Vec<Email>>,
    /// Request a single-view link, which opens only once. No other link follows, and the loan ends
    /// with the link's lifetime, opened or not. Default: true if the flow's `viewOnce` is
    /// `Required`, otherwise false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_once: Option<bool>,
    /// The reason for the request, at most 1000 characters. A flow can require one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub justification: Option<String>,
    /// The name of the only flow to use. Default: the operator chooses a flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub flow: Option<String>,
    /// The latest start of the loan, such as `2027-01-31T12:00:00Z` or `2027-01-31T13:00:00+01:00`.
    /// Required for ServiceAccounts and for everyone else whose e-mail address the cluster does not
    /// know: they count as machines. The operator does not delete the request before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = TIME_PATTERN))]
    pub not_after: Option<Time>,
    /// The requester. The API server sets this field from Kubernetes 1.36 on. Before that, set it
    /// to your own username, groups and e-mail address; admission rejects wrong values and returns
    /// the correct ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Identity>,
}

/// The integration to borrow from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationRef {
    /// The integration's name.
    pub name: IntegrationName,
    /// The integration's namespace. Default: the grant's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL_PATTERN))]
    pub namespace: Option<String>,
}

/// The item to borrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemRef {
    /// The vault's id or title. An id takes precedence. A title has to be unique among the vaults
    /// that flows lend to you from (otherwise `VaultAmbiguous`).
    pub vault: TitleOrId,
    /// The item's id or title. An id takes precedence, and active items take precedence over
    /// archived ones. If several items have the title, the one that flows lend to you is meant; if
    /// flows lend several of them to you, the request fails with `ItemAmbiguous`.
    pub item: TitleOrId,
}

/// The state of a request or loan, for display. Programs read the conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// The request is being processed, or is waiting.
    #[default]
    Pending,
    /// An approver denied the request, or someone entitled to do so withdrew it.
    Denied,
    /// The request was not approved or not started in time.
    Lapsed,
    /// The request is approved, and the first link is being issued.
    Issuing,
    /// The loan is running.
    Active,
    /// The loan is over, but an issued link may still open.
    Ending,
    /// The loan is over, and no link opens.
    Ended,
    /// The request cannot be granted at present, or no first link could be issued. If the cause is
    /// removed before the request lapses, the request is granted after all; delete it if you no
    /// longer need it.
    Failed,
}

/// The state of a request or loan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantStatus {
    /// The generation of the spec that this status describes. It is -1 until the operator has
    /// processed the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The state for display. Programs read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The conditions `Accepted`, `Approved`, `Active`, `Ended` and `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The name of the chosen flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    /// The flows that were not chosen, each with the reason. At most 20 are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub considered_flows: Vec<ConsideredFlow>,
    /// The terms of the loan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// The digest over the effects of the terms, to which an approval refers: `v1:sha256:` and 64
    /// hexadecimal digits. The digest also covers the grant's uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The decisions that counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub decisions: Vec<CountedDecision>,
    /// The decisions that had no effect, each with the reason. At most 20 are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub ignored_decisions: Vec<IgnoredDecision>,
    /// The missing approvals and who can still give them, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Denied requests of the same person for the same item in the last 90 days, newest first. At
    /// most 5 are shown. Their records contain the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub earlier_denials: Vec<EarlierDenial>,
    /// The start of the loan: the time at which 1Password's answer with the first link arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Time>,
    /// The end of the loan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// The current link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkStatus>,
    /// How to use the lent item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_details: Option<AccessDetails>,
    /// The time until which an issued link may still open after the loan is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual_until: Option<Time>,
    /// The time at which the loan ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The name of the loan's record in the integration's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// An earlier request that was not granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EarlierDenial {
    /// The time of its outcome.
    pub at: Time,
    /// Its outcome.
    pub outcome: RequestOutcome,
}

/// The link that the borrower can open now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkStatus {
    /// The Secret that holds the link. The requester may read it through the API. No Pod can mount
    /// it, because it is not in the grant's namespace.
    pub secret_ref: SecretReference,
    /// The number of the link within this loan, starting at 1.
    pub sequence: u32,
    /// The time at which the link was issued.
    pub issued_at: Time,
    /// The time until which the link opens.
    pub expires_at: Time,
}

/// A Secret in any namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// The Secret's namespace, in which Keyloan keeps all links.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
