//! `AccessGrant`: a request for an item, then the loan.

use std::fmt;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::Condition;
use super::identity::Identity;
use super::record::RequestOutcome;
use super::terms::{CountedDecision, Terms};
use super::values::{
    AN_HOUR_OR_MORE, AccessDetails, Email, IntegrationName, LABEL_PATTERN, NAME_PATTERN, Span,
    TIME_PATTERN, Time, TitleOrId,
};

/// A request to borrow one item; once approved, the loan. The spec cannot be changed: ask again instead.
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
    .message("a request cannot be changed once it is made: delete it and ask again"))]
#[x_kube(validation = Rule::new("!has(self.viewOnce) || !self.viewOnce || !has(self.recipients) || self.recipients.size() <= 1")
    .message("a link that opens just once can have only one recipient"))]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantSpec {
    /// The integration to borrow from.
    pub integration: IntegrationRef,
    /// What to borrow.
    pub item: ItemRef,
    /// For how long, such as `4h`, `90m`, `1d12h` or `2w`; at least `1h`. Default: the flow's `defaultDuration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("duration must be at least 1h, the shortest life of a 1Password link"))]
    pub duration: Option<Span>,
    /// Who can open the links. Default: the requester's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10), extend("x-kubernetes-list-type" = "set"))]
    pub recipients: Option<Vec<Email>>,
    /// Ask for a link that opens just once. No other follows it, and the loan ends when that link's lifetime is over, opened or not. Default: true
    /// if the flow's `viewOnce` is `Required`, else false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_once: Option<bool>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub justification: Option<String>,
    /// Use only this flow, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub flow: Option<String>,
    /// Nothing starts later than this: a time such as `2027-01-31T12:00:00Z` or `2027-01-31T13:00:00+01:00`. Required of a ServiceAccount, and of
    /// everybody else whose e-mail address the cluster does not know: they count as machines. The request is not tidied away before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = TIME_PATTERN))]
    pub not_after: Option<Time>,
    /// Who asks. From Kubernetes 1.36 on the API server writes it; before, write your own username, groups and address: what is false is refused
    /// with the right value in the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Identity>,
}

/// Which integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationRef {
    /// Its name.
    pub name: IntegrationName,
    /// Its namespace. Default: the grant's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL_PATTERN))]
    pub namespace: Option<String>,
}

/// Which item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemRef {
    /// The vault, by id or title: an id comes first, and a title has to be that of one vault only, of those that are lent from
    /// (else `VaultAmbiguous`).
    pub vault: TitleOrId,
    /// The item, by id or title: an id comes first, and an item in use before archived ones. If several have this title, it is the one that flows
    /// lend to the requester; if that is not one only, it is `ItemAmbiguous`.
    pub item: TitleOrId,
}

/// Where a request or loan has got to, for printing; programs read the conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Being looked at, or waiting.
    #[default]
    Pending,
    /// Somebody who decides said no, or somebody entitled to took the request back.
    Denied,
    /// It was not approved, or not started, in time.
    Lapsed,
    /// Agreed; the first link is being made.
    Issuing,
    /// The loan runs.
    Active,
    /// Over, but a link that was handed out may still open.
    Ending,
    /// Over.
    Ended,
    /// It cannot be granted as things are, or no first link could be issued. A request whose cause is mended before it lapses is granted after all:
    /// delete it if it is not wanted any more.
    Failed,
}

/// Where a request or loan has got to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantStatus {
    /// The generation of the spec that this status describes; -1 until the operator has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// For printing; programs read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Accepted, Approved, Active, Ended, and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The flow that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    /// Why each other flow was not chosen; at most 20 are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub considered_flows: Vec<ConsideredFlow>,
    /// All that was agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// A digest over the effects of the terms: what an approval refers to. It is `v1:sha256:` and 64 hexadecimal digits, and covers the grant's uid, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The decisions that counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub decisions: Vec<CountedDecision>,
    /// Decisions that had no effect, and why; at most 20 are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub ignored_decisions: Vec<IgnoredDecision>,
    /// Who can still decide and what is missing, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Earlier requests of the same person for the same item that were denied in the last 90 days, the newest first; at most 5 are shown. Their
    /// reasons are in their records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub earlier_denials: Vec<EarlierDenial>,
    /// When the loan started: when 1Password's answer with the first link arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Time>,
    /// When the loan ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// The current link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkStatus>,
    /// How to use what was lent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_details: Option<AccessDetails>,
    /// Until when a link that was issued may still open, once the loan is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual_until: Option<Time>,
    /// When the loan ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The name of the loan's record, in the integration's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// An earlier request that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EarlierDenial {
    /// When that was decided.
    pub at: Time,
    /// What became of it.
    pub outcome: RequestOutcome,
}

/// A flow that was looked at and not chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsideredFlow {
    /// The flow's name.
    pub name: String,
    /// Why it was not chosen.
    pub reason: String,
}

/// A decision that had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgnoredDecision {
    /// The AccessDecision's name.
    pub name: String,
    /// Who made it, by username.
    pub user: String,
    /// Why it has no effect.
    pub reason: String,
}

/// The link that the borrower can open now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkStatus {
    /// The Secret that holds the link. The requester may read it by the API; no Pod can mount it, because it is in another namespace than the
    /// grant.
    pub secret_ref: SecretReference,
    /// Which link of this loan it is, from 1.
    pub sequence: u32,
    /// When it was issued.
    pub issued_at: Time,
    /// Until when it opens.
    pub expires_at: Time,
}

/// A Secret, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Its namespace: the one in which Keyloan keeps all links.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
