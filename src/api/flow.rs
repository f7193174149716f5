//! `AccessFlow`: who may borrow which items, for how long, and who has to approve.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::Condition;
use super::identity::Subject;
use super::values::{
    AN_HOUR_OR_MORE, AccessDetails, IntegrationName, ItemId, Span, TIME_OF_DAY_PATTERN, Tag,
    TitleOrId, TitlePattern,
};

/// The rules for borrowing items: requesters, items, durations and approvals. Flows only allow: a
/// request that no flow covers is refused.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keyloan.dev",
    version = "v1alpha1",
    kind = "AccessFlow",
    plural = "accessflows",
    shortname = "flow",
    category = "keyloan",
    namespaced,
    status = "AccessFlowStatus",
    derive = "PartialEq",
    selectable = ".spec.integration",
    printcolumn(
        name = "Integration",
        type_ = "string",
        json_path = ".spec.integration"
    ),
    printcolumn(name = "Approval", type_ = "string", json_path = ".spec.approval.mode"),
    printcolumn(name = "Max", type_ = "string", json_path = ".spec.grant.maxDuration"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Items", type_ = "integer", json_path = ".status.lends.items"),
    printcolumn(
        name = "Suspended",
        type_ = "boolean",
        json_path = ".spec.suspend",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct AccessFlowSpec {
    /// The integration whose items this flow lends. It is in the flow's own namespace.
    pub integration: IntegrationName,
    /// The namespaces from which requests may come. Default: the flow's own namespace.
    #[serde(default)]
    pub namespaces: FlowNamespaces,
    /// The people, groups and ServiceAccounts that may request items, 1 to 100.
    #[schemars(length(min = 1, max = 100))]
    pub requesters: Vec<Subject>,
    /// The items that this flow lends.
    pub items: ItemSelection,
    /// The properties that loans through this flow may have.
    pub grant: GrantRules,
    /// The approvals that a request requires.
    pub approval: Approval,
    /// The hours in which a loan may start. Default: any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeframe: Option<Timeframe>,
    /// How many loans and requests one requester may have through this flow at a time. The defaults
    /// also apply if the flow sets no limits.
    #[serde(default)]
    pub limits: FlowLimits,
    /// How to use the lent items. Replaces the integration's `customAccessDetails`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_details: Option<AccessDetails>,
    /// Start no new loans through this flow, and stop renewing links of running loans. Deleting the
    /// flow has the same effect, but cannot be undone for running loans. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// The namespaces from which requests may come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector is required with from: Selector, and not allowed otherwise"))]
#[serde(rename_all = "camelCase")]
pub struct FlowNamespaces {
    /// How the namespaces are selected. Default: `Same`.
    #[serde(default)]
    pub from: FromNamespaces,
    /// The labels of the namespaces. Required with `from: Selector`, and not allowed otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub selector: Option<LabelSelector>,
}

/// How a flow selects namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FromNamespaces {
    /// The flow's own namespace.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// The namespaces that the selector matches.
    Selector,
}

/// The items that a flow lends: at least one `include` selector matches them, and no `exclude`
/// selector does. The condition `MatchesItems` reports selectors that match nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemSelection {
    /// 1 to 50 selectors. At least one of them has to match an item.
    #[schemars(length(min = 1, max = 50))]
    pub include: Vec<ItemSelector>,
    /// At most 50 selectors. None of them may match an item. They compare vaults, titles and tags
    /// without regard to case, Unicode form and runs of white space. While one of them names a
    /// vault that the integration does not lend from, the flow lends nothing, because items that
    /// the selector is meant to exclude could be lent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub exclude: Vec<ItemSelector>,
}

/// Items of one vault. An item has to match all given fields; within a field, one entry is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemSelector {
    /// The vault's title or id. A name of 26 characters `a`-`z` and `2`-`7` is always read as an
    /// id. Only an id is reliable: anyone who can edit the vault can change its title.
    pub vault: TitleOrId,
    /// The items' ids, at most 200. Only ids are reliable. Default: any id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub ids: Vec<ItemId>,
    /// Patterns for the items' titles, at most 50. Default: any title.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub titles: Vec<TitlePattern>,
    /// At most 50 tags. The item has at least one of them. Default: any tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub tags: Vec<Tag>,
}

/// The properties that loans through this flow may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantRules {
    /// The longest duration of a loan, such as `4h`, `90m`, `1d12h` or `2w`; at least `1h`, the
    /// shortest 1Password link lifetime.
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("maxDuration must be at least 1h, the shortest 1Password link lifetime"))]
    pub max_duration: Span,
    /// The duration of a loan whose request sets none, such as `4h`, `90m`, `1d12h` or `2w`; at
    /// least `1h`. If the integration's `limits.maxDuration` is shorter, that duration applies.
    /// Default: `1h`.
    #[serde(default = "one_hour")]
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("defaultDuration must be at least 1h, the shortest 1Password link lifetime"))]
    pub default_duration: Span,
    /// The longest lifetime of each link. A shorter lifetime is safer, because a revocation cannot
    /// reach an issued link. Default: `1h`.
    #[serde(default)]
    pub link_lifetime: LinkLifetime,
    /// Whether the requester can get another link after one has ended while the loan is running.
    /// Default: `OnRequest`.
    #[serde(default)]
    pub renewal: Renewal,
    /// Whether links may, must or must not be single-view. A single-view link opens only once.
    /// Default: `Allowed`.
    #[serde(default)]
    pub view_once: ViewOnce,
    /// The allowed recipients of links. Default: `Requester`.
    #[serde(default)]
    pub recipients: RecipientRule,
    /// Whether a request has to give a justification. Default: `Optional`.
    #[serde(default)]
    pub justification: Requirement,
}

fn one_hour() -> Span {
    Span("1h".into())
}

/// How long a 1Password link opens. 1Password supports these five lifetimes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum LinkLifetime {
    /// One hour.
    #[default]
    #[serde(rename = "1h")]
    OneHour,
    /// One day.
    #[serde(rename = "1d")]
    OneDay,
    /// Seven days.
    #[serde(rename = "7d")]
    SevenDays,
    /// Fourteen days.
    #[serde(rename = "14d")]
    FourteenDays,
    /// Thirty days.
    #[serde(rename = "30d")]
    ThirtyDays,
}

impl fmt::Display for LinkLifetime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OneHour => "1h",
            Self::OneDay => "1d",
            Self::SevenDays => "7d",
            Self::FourteenDays => "14d",
            Self::ThirtyDays => "30d",
        })
    }
}

/// Whether the borrower can get another link after one has ended while the loan is running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Renewal {
    /// The borrower gets another link on request.
    #[default]
    OnRequest,
    /// The borrower gets no other link: the loan ends with its first one.
    Never,
}

/// Whether links may, must or must not be single-view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ViewOnce {
    /// The request decides.
    #[default]
    Allowed,
    /// Every link is single-view.
    Required,
    /// No link is single-view.
    Forbidden,
}

/// The allowed recipients of links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RecipientRule {
    /// Only the requester's own address.
    #[default]
    Requester,
    /// The addresses that the request lists, within the integration's `recipientDomains`.
    Listed,
}

/// Whether a text has to be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Requirement {
    /// The text may be omitted.
    #[default]
    Optional,
    /// The text has to be given.
    Required,
}

/// The approvals that a request requires before a loan starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.mode == 'None') == (!has(self.groups) || self.groups.size() == 0)")
    .message("groups are required with mode AnyOf or AllOf, and not allowed with mode None"))]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Whether no group, any one group or all groups have to approve.
    pub mode: ApprovalMode,
    /// The groups of approvers, at most 10. Required with `mode: AnyOf` and `mode: AllOf`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<ApproverGroup>,
    /// How long a request waits for approval after its creation, such as `4h`, `90m`, `1d12h` or
    /// `2w`. Then it lapses. Default: `24h`.
    #[serde(default = "one_day")]
    pub timeout: Span,
    /// Whether an approver has to give a reason. Default: `Optional`.
    #[serde(default)]
    pub reason: Requirement,
    /// Whether to count the approval of a person whose e-mail address the cluster does not know.
    /// Such a person could be the requester or a recipient under another name. Their Deny and
    /// Revoke decisions always count. Default: `Ignored`.
    #[serde(default)]
    pub without_address: WithoutAddress,
}

/// Whether to count the approval of a person whose e-mail address the cluster does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WithoutAddress {
    /// The approval does not count.
    #[default]
    Ignored,
    /// The approval counts. A person with two such accounts can then approve their own request.
    Allowed,
}

fn one_day() -> Span {
    Span("24h".into())
}

/// Whether no group, any one group or all groups have to approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalMode {
    /// No approval is required: a request that the flow covers is granted at once.
    None,
    /// One of the groups has to approve.
    AnyOf,
    /// All groups have to approve.
    AllOf,
}

/// A group of approvers, and how many of them have to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproverGroup {
    /// The group's name, such as `security`. It is shown to people.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The members of the group, 1 to 20.
    #[schemars(length(min = 1, max = 20))]
    pub approvers: Vec<Approver>,
    /// How many different members of the group have to approve, from 1 to 10. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub required: u32,
}

fn one() -> u32 {
    1
}

/// An approver or a group of approvers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.kind in ['User', 'Group']) == has(self.name)")
    .message("name is required for User and Group, and is not allowed for ResourceOwner and IntegrationOwner"))]
#[x_kube(validation = Rule::new("self.kind != 'Group' || !has(self.name) || !self.name.startsWith('system:')")
    .message("system groups (system:...) are removed from identities and match nobody; name a \
              group of your own"))]
#[x_kube(validation = Rule::new("!has(self.name) || !self.name.startsWith('system:serviceaccount:')")
    .message("ServiceAccounts cannot decide; name a person or a group"))]
#[serde(rename_all = "camelCase")]
pub struct Approver {
    /// The kind of approver.
    pub kind: ApproverKind,
    /// The username, e-mail address or group name. Required for `User` and `Group`, and not allowed
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub name: Option<String>,
}

/// The kind of an approver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApproverKind {
    /// One person, by username or e-mail address.
    User,
    /// Any member of a group.
    Group,
    /// The owner that the item's owner tag names, or the integration's owners if the tag names no
    /// allowed owner.
    ResourceOwner,
    /// The integration's owners.
    IntegrationOwner,
}

/// The hours in which a loan may start: on the given days, from one time of day to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.from != self.to")
    .message("from and to must differ: write from 00:00 to 24:00 for whole days, or leave timeframe out to allow any time"))]
#[x_kube(validation = Rule::new("self.from != '24:00'")
    .message("from cannot be 24:00, the end of the day: write 00:00 and the following day"))]
#[serde(rename_all = "camelCase")]
pub struct Timeframe {
    /// The days on which the timeframe opens.
    #[schemars(length(min = 1, max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<Weekday>,
    /// The time at which the timeframe opens, such as `09:00`.
    pub from: TimeOfDay,
    /// The time at which the timeframe closes, such as `18:00`. A time before `from` is on the next
    /// day. `24:00` is the end of the day.
    pub to: TimeOfDay,
    /// The IANA time zone of the two times, such as `Europe/Berlin`.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

/// A time of day, `00:00` to `24:00`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TimeOfDay(
    #[schemars(length(max = 64), regex(pattern = TIME_OF_DAY_PATTERN))] pub String,
);

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// How many loans and requests one requester may have through one flow at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowLimits {
    /// The maximum number of loans of one requester. Running loans count, and so do ended or
    /// deleted loans while one of their links may still open. A request beyond the limit waits
    /// (reason `LimitReached`). From 1 to 1000. Default: 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub active_per_requester: u32,
    /// The maximum number of one requester's requests that wait for approval or for their first
    /// link. A request beyond the limit waits for a free place (reason `LimitReached`). If five
    /// times this number of requests already wait in line, the next one fails at once (reason
    /// `TooManyRequests`). From 1 to 1000. Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub pending_per_requester: u32,
}

impl Default for FlowLimits {
    fn default() -> Self {
        Self {
            active_per_requester: five(),
            pending_per_requester: ten(),
        }
    }
}

fn five() -> u32 {
    5
}

fn ten() -> u32 {
    10
}

/// The state of a flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessFlowStatus {
    /// The generation of the spec that this status describes. It is -1 until the operator has
    /// processed the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The conditions `Ready` (the flow is valid and its integration exists) and `MatchesItems`
    /// (each rule matches something in the account, according to the last listing); and `Stalled`,
    /// only while a person has to act before the flow lends anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How much this flow can lend, according to the last listing of the account. Absent before the
    /// first listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lends: Option<FlowLends>,
}

/// How much a flow can lend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowLends {
    /// The number of vaults with items to lend.
    pub vaults: u32,
    /// The number of items to lend, archived items excluded.
    pub items: u32,
}
