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

/// A 1Password service account from which items are lent: where its token is kept, what it may
/// lend, and the bounds over every flow.
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
        .message("the name of an integration becomes the value of a label: at most 63 characters, \
                  and no dots")
)]
#[x_kube(validation = Rule::new("!has(self.resourceOwner) || (has(self.owners) && self.owners.size() > 0)")
    .message("resourceOwner requires owners: they decide if an item's owner tag is missing or \
              unknown"))]
#[serde(rename_all = "camelCase")]
pub struct OnePasswordIntegrationSpec {
    /// How the operator signs in to 1Password. Set exactly one field.
    pub auth: Auth,
    /// The service account's name in 1Password, for information only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub service_account_name: Option<String>,
    /// The vaults that may be lent from, by title or id, at most 100. A name of 26 characters
    /// `a`-`z` and `2`-`7` is always read as an id. A title that several vaults share selects none
    /// of them. Default: all vaults that the service account can read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub vaults: Vec<TitleOrId>,
    /// How to use the lent items. It is shown with each link unless the flow sets `accessDetails`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_access_details: Option<AccessDetails>,
    /// The owners of this integration, at most 50. They approve where a flow names
    /// `IntegrationOwner`, and where it names `ResourceOwner` but the item's tags do not name
    /// exactly one allowed owner. They may deny any request that a flow covers and revoke any loan.
    /// Required with `resourceOwner`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(validation = Rule::new("self.all(owner, !owner.name.startsWith('system:serviceaccount:'))")
        .message("ServiceAccounts cannot decide; name a person or a group"))]
    pub owners: Vec<Person>,
    /// How a tag on an item names the item's owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_owner: Option<ResourceOwner>,
    /// The e-mail domains to which links may go, each matched exactly, at most 50. Default: none,
    /// and links go only to the requester's own address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub recipient_domains: Vec<Domain>,
    /// Bounds over every flow of this integration, and shares of the account's request limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<IntegrationLimits>,
    /// The account's 1Password plan. It determines how many requests a service account may make.
    pub plan: AccountPlan,
    /// The interval at which the operator lists vaults and items again, such as `4h`, `90m`,
    /// `1d12h` or `2w`; at least `1h`. An account that cannot lend at present is looked at every
    /// hour. Default: `24h`.
    #[serde(default = "every_day")]
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("discoveryInterval must be at least 1h: listing counts against the account's request limits"))]
    pub discovery_interval: Span,
    /// Stop approving requests, starting loans and renewing links. Running loans keep their current
    /// link and end on time. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

fn every_day() -> Span {
    Span("24h".into())
}

/// How the operator signs in to 1Password: exactly one field is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.serviceAccountToken)")
    .message("auth requires exactly one way to sign in: set serviceAccountToken"))]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Sign in with the token of a 1Password service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<ServiceAccountTokenSource>,
}

/// The token of a 1Password service account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountTokenSource {
    /// The Secret that holds the token, in the integration's own namespace. It must have the labels
    /// `keyloan.dev/secret: token` and `keyloan.dev/integration: <name of this integration>`.
    pub secret_ref: SecretKeyRef,
    /// The token's expiry date, as 1Password showed it at creation. The operator uses it only to
    /// warn you in time.
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

/// How a tag on an item names its owner. With `tagKey: owner`, the tag `owner:db-team` names
/// `db-team`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceOwner {
    /// The part of the tag before the colon.
    #[schemars(length(min = 1, max = 63), regex(pattern = TAG_KEY_PATTERN))]
    pub tag_key: String,
    /// Whether the tag names a user or a group.
    pub kind: PersonKind,
    /// The owners that a tag may name, 1 to 200. Any other owner counts as unknown, because
    /// otherwise anyone who can edit an item could appoint its approver.
    #[schemars(length(min = 1, max = 200))]
    pub allowed: Vec<PrincipalName>,
}

/// Bounds over every flow, and shares of the account's request limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationLimits {
    /// The longest duration of a loan, whatever a flow allows, such as `4h`, `90m`, `1d12h` or
    /// `2w`; at least `1h`. Default: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("maxDuration must be at least 1h, the shortest 1Password link lifetime"))]
    pub max_duration: Option<Span>,
    /// Blocked people, at most 200. Their requests are refused, no link goes to their mailbox,
    /// their approvals do not count, and loans that they requested or receive end at once (reason
    /// `Blocked`). An issued link opens until its own end. A `User` is blocked by username and, if
    /// the name is an e-mail address, by mailbox in every spelling. A `Group` does not match
    /// recipients. Default: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub blocked: Vec<Person>,
    /// The longest lifetime of a link, whatever a flow allows. It also applies to the next link of
    /// a running loan. Default: `30d`, the longest lifetime in 1Password.
    #[serde(default = "thirty_days")]
    pub max_link_lifetime: LinkLifetime,
    /// The minimum number of people who have to approve a loan, from 1 to 10. A flow that can lend
    /// with fewer approvals lends nothing, and its condition `Ready` reports it. Default: no
    /// minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub min_approvals: Option<u32>,
    /// The part of the account's request limits that one requester may use, in percent, from 1 to
    /// 100. A requester's links beyond it wait (reason `RequesterShareUsed`). Default: 25.
    #[serde(default = "a_quarter")]
    #[schemars(range(min = 1, max = 100))]
    pub requester_share: u32,
    /// The part of the account's request limits that is reserved for renewals, in percent, from 0
    /// to 90. First links and discoveries may not use it; first links wait if only this part is
    /// left (reason `KeptForRenewals`). Default: 20.
    #[serde(default = "a_fifth")]
    #[schemars(range(min = 0, max = 90))]
    pub renewal_share: u32,
    /// The maximum number of links per minute, from 1 to 10000. Keyloan spreads a larger burst,
    /// renewals first: it issues up to a minute's links at once, then one by one. 1Password
    /// publishes no such limit; this one prevents a burst from using up the hourly limit. Default:
    /// 60.
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

/// The service account as the operator last saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnePasswordIntegrationStatus {
    /// The generation of the spec that this status describes. It is -1 until the operator has
    /// processed the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The conditions `Ready`, `CredentialsValid`, `Discovered`, `Shareable`, `Throttled` and
    /// `BoundaryInForce`; and `Stalled`, only while a person has to act before anything is lent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The host at which the token signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The service account's own address at 1Password, which identifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The vaults that can be lent from, by title. At most 100 are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub vaults: Vec<VaultStatus>,
    /// The account's sharing policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_policy: Option<SharePolicyStatus>,
    /// The time of the last listing of vaults and items.
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
    /// The number of items in the vault, archived items excluded.
    pub items: u32,
}

/// The account's sharing policy, as read for one of its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharePolicyStatus {
    /// The longest lifetime of a link.
    pub max_lifetime: Span,
    /// The kinds of recipients that the policy allows: `Email`, `Domain`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub recipient_kinds: Vec<String>,
    /// Whether the policy requires every link to be single-view.
    #[serde(default)]
    pub view_once: bool,
}
