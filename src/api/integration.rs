//! `OnePasswordIntegration`: one 1Password service account and the rules over everything that it lends.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::Condition;
use super::flow::LinkLifetime;
use super::identity::{Person, PersonKind, PrincipalName};
use super::values::{
    AN_HOUR_OR_MORE, AccessDetails, Domain, NAME_PATTERN, SECRET_KEY_PATTERN, Span,
    TAG_KEY_PATTERN, TIME_PATTERN, Time, TitleOrId,
};

/// A 1Password service account from which items are lent: where its token lies, what it may lend, and the ceilings over every flow.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keyloan.dev",
    version = "v1alpha1",
    kind = "OnePasswordIntegration",
    plural = "onepasswordintegrations",
    shortname = "opi",
    category = "keyloan",
    namespaced,
    status = "OnePasswordIntegrationStatus",
    derive = "PartialEq",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Host", type_ = "string", json_path = ".status.host"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.plan", priority = 1),
    printcolumn(name = "Discovered", type_ = "date", json_path = ".status.lastDiscoveryTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')")
        .message("the name of an integration becomes the value of a label: at most 63 characters, and no dots")
)]
#[x_kube(validation = Rule::new("!has(self.resourceOwner) || (has(self.owners) && self.owners.size() > 0)")
    .message("resourceOwner needs owners: they decide where an item's owner tag is missing or unknown"))]
#[serde(rename_all = "camelCase")]
pub struct OnePasswordIntegrationSpec {
    /// How to sign in. Exactly one member.
    pub auth: Auth,
    /// The service account's name in 1Password, for people to find it; not used to sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub service_account_name: Option<String>,
    /// The vaults that may be lent from, by title or id. A name of 26 characters `a`-`z` and `2`-`7` is always taken for an id. A title that
    /// several vaults have names none of them. Empty: all that the service account can read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub vaults: Vec<TitleOrId>,
    /// How to use what was lent; shown beside each link unless the flow says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_access_details: Option<AccessDetails>,
    /// Who owns this integration. They approve where a flow names `IntegrationOwner`, or names `ResourceOwner` and the item's tags do not name
    /// exactly one allowed owner. They may deny any request that a flow covers, and revoke any loan. Required with `resourceOwner`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(validation = Rule::new("self.all(owner, !owner.name.startsWith('system:serviceaccount:'))")
        .message("ServiceAccounts never decide; name a person or a group"))]
    pub owners: Vec<Person>,
    /// How an item's tag names the item's owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_owner: Option<ResourceOwner>,
    /// The e-mail domains to which links may go, each exactly. Empty: only to the requester's own address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub recipient_domains: Vec<Domain>,
    /// Bounds over every flow of this integration, and how the account's request limits are divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<IntegrationLimits>,
    /// The 1Password plan of the account; it decides how many requests a service account may make.
    pub plan: AccountPlan,
    /// After how long vaults and items are listed anew, unasked, such as `4h`, `90m`, `1d12h` or `2w`; at least `1h`. Default: `24h`.
    #[serde(default = "every_day")]
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("discoveryInterval must be at least 1h: listing counts against the account's request limits"))]
    pub discovery_interval: Span,
    /// Stop approving, issuing and renewing. Loans that run keep their current link and end in their time; while this is true they get no other
    /// link. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

fn every_day() -> Span {
    Span("24h".into())
}

/// How to sign in to 1Password: a union with exactly one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.serviceAccountToken)")
    .message("auth needs exactly one way to sign in: set serviceAccountToken"))]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// With the token of a 1Password service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<ServiceAccountTokenSource>,
}

/// Where the token of a 1Password service account is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountTokenSource {
    /// The Secret that holds the token, in the integration's own namespace. It must carry the labels
    /// `keyloan.dev/secret: token` and `keyloan.dev/integration: <name of this integration>`.
    pub secret_ref: SecretKeyRef,
    /// When the token expires, as 1Password said when it was made; only to warn in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = TIME_PATTERN))]
    pub expires_at: Option<Time>,
}

/// One key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// The key within the Secret. Default: `token`.
    #[serde(default = "token_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY_PATTERN))]
    pub key: String,
}

fn token_key() -> String {
    "token".into()
}

/// How a tag on an item names its owner: with `tagKey: owner`, the tag `owner:db-team` names `db-team`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceOwner {
    /// What stands before the colon in the tag.
    #[schemars(length(min = 1, max = 63), regex(pattern = TAG_KEY_PATTERN))]
    pub tag_key: String,
    /// Whether the tag names a user or a group.
    pub kind: PersonKind,
    /// The owners that a tag may name; any other tag counts as unknown. Whoever edits an item could otherwise appoint its approver.
    #[schemars(length(min = 1, max = 200))]
    pub allowed: Vec<PrincipalName>,
}

/// Bounds over every flow, and how the account's request limits are divided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationLimits {
    /// How long a loan lasts at the most, whatever a flow allows, such as `4h`, `90m`, `1d12h` or `2w`; at least `1h`. Default: no ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("maxDuration must be at least 1h, the shortest life of a 1Password link"))]
    pub max_duration: Option<Span>,
    /// People who get nothing more. Their requests are refused, no link goes to their mailbox, their approvals do not count, and loans that they asked
    /// for or receive end at once (reason `Blocked`). A User is blocked by username and, where the name is an e-mail address, as the mailbox in every
    /// spelling; a Group cannot match recipients. A link that was handed out opens until its own end. Default: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub blocked: Vec<Person>,
    /// The longest lifetime of a link, whatever a flow allows. It binds the next link of loans that run, too. Default: `30d`, the longest that
    /// 1Password knows.
    #[serde(default = "thirty_days")]
    pub max_link_lifetime: LinkLifetime,
    /// How many people have to approve a loan at least, from 1 to 10. A flow that can lend with fewer approvals lends nothing, and its condition
    /// `Ready` says so. Default: no such bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub min_approvals: Option<u32>,
    /// The part of the account's request limits that one requester may use, in percent, from 1 to 100. Beyond that a requester's links wait
    /// (reason `RequesterShareUsed`). Default: 25.
    #[serde(default = "a_quarter")]
    #[schemars(range(min = 1, max = 100))]
    pub requester_share: u32,
    /// The part of the account's request limits that first links and discoveries leave to renewals, in percent, from 0 to 90. First links wait
    /// where only this part is left (reason `KeptForRenewals`). Default: 20.
    #[serde(default = "a_fifth")]
    #[schemars(range(min = 0, max = 90))]
    pub renewal_share: u32,
    /// The maximum number of links per minute, from 1 to 10000. Keyloan spreads a larger burst, renewals first: it makes up to a minute's links at
    /// once, then one by one. 1Password publishes no such limit; this keeps one burst from using up the hour. Default: 60.
    #[serde(default = "one_a_second")]
    #[schemars(range(min = 1, max = 10_000))]
    pub shares_per_minute: u32,
}

impl Default for IntegrationLimits {
    fn default() -> Self {
        Self {
            max_duration: None,
            blocked: Vec::new(),
            max_link_lifetime: thirty_days(),
            min_approvals: None,
            requester_share: a_quarter(),
            renewal_share: a_fifth(),
            shares_per_minute: one_a_second(),
        }
    }
}

fn thirty_days() -> LinkLifetime {
    LinkLifetime::ThirtyDays
}

fn a_quarter() -> u32 {
    25
}

fn a_fifth() -> u32 {
    20
}

fn one_a_second() -> u32 {
    60
}

/// The 1Password plan of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AccountPlan {
    /// 1Password Business.
    Business,
    /// 1Password Teams.
    Teams,
    /// 1Password Families.
    Families,
    /// 1Password Individual.
    Individual,
}

/// What the operator has seen of the service account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnePasswordIntegrationStatus {
    /// The generation of the spec that this status describes; -1 until the operator has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, CredentialsValid, Discovered, Shareable, Throttled, BoundaryInForce.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The host that the token signs in to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The service account's own address at 1Password; it tells accounts apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The vaults that can be lent from, by title; at most 100 are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub vaults: Vec<VaultStatus>,
    /// What the account's policy says about sharing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_policy: Option<SharePolicyStatus>,
    /// When vaults and items were last listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_discovery_time: Option<Time>,
    /// The version of the operator that wrote this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_version: Option<String>,
}

/// A vault that can be lent from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultStatus {
    /// The vault's id.
    pub id: String,
    /// The vault's title.
    pub title: String,
    /// How many items it holds, archived ones left out.
    pub items: u32,
}

/// What the account's policy says about sharing, as read for one of its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharePolicyStatus {
    /// The longest life of a link.
    pub max_lifetime: Span,
    /// What a recipient can be: `Email`, `Domain`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub recipient_kinds: Vec<String>,
    /// Whether the policy forces every link to open just once.
    #[serde(default)]
    pub view_once: bool,
}
