//! `AccessFlow`: who may borrow what, for how long, and on whose approval.

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

/// Who may borrow which items, for how long and on whose approval. Flows only allow: what no flow allows is refused.
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
    /// The integration, in the flow's own namespace, whose items this flow lends.
    pub integration: IntegrationName,
    /// The namespaces from which people may ask. Default: the flow's own.
    #[serde(default)]
    pub namespaces: FlowNamespaces,
    /// Who may ask.
    #[schemars(length(min = 1, max = 100))]
    pub requesters: Vec<Subject>,
    /// What may be asked for.
    pub items: ItemSelection,
    /// What a loan by this flow may look like.
    pub grant: GrantRules,
    /// Who has to agree.
    pub approval: Approval,
    /// When a loan may start. Without it: at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeframe: Option<Timeframe>,
    /// How much one requester may have by this flow at a time. The defaults bind flows that give no limits, too.
    #[serde(default)]
    pub limits: FlowLimits,
    /// How to use what was lent, instead of the integration's `customAccessDetails`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_details: Option<AccessDetails>,
    /// Take part in no new loan, and stop renewing links of loans that run. Deleting the flow does the same, and cannot be undone for those.
    /// Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// The namespaces from which people may ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector is required with from: Selector, and only then"))]
#[serde(rename_all = "camelCase")]
pub struct FlowNamespaces {
    /// Which namespaces count. Default: `Same`.
    #[serde(default)]
    pub from: FromNamespaces,
    /// The labels of the namespaces, with `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub selector: Option<LabelSelector>,
}

/// Which namespaces count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FromNamespaces {
    /// The flow's own.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// Those that the selector matches.
    Selector,
}

/// What may be asked for: included by at least one selector, and excluded by none. A selector that matches nothing is told by the condition
/// MatchesItems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemSelection {
    /// At least one of these has to match.
    #[schemars(length(min = 1, max = 50))]
    pub include: Vec<ItemSelector>,
    /// None of these may match. They also compare vaults, titles and tags without regard to case, Unicode form and runs of blanks. As long as
    /// one of them names a vault from which the integration does not lend, the flow lends nothing: what it is to keep could be lent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub exclude: Vec<ItemSelector>,
}

/// Items of one vault. All the members that are given have to match; within a member, any entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemSelector {
    /// The vault, by title or id; a name of 26 characters `a`-`z` and `2`-`7` is always taken for an id. Only an id is a firm boundary: titles can
    /// be changed by whoever edits the vault.
    pub vault: TitleOrId,
    /// The items' ids: the firm boundary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub ids: Vec<ItemId>,
    /// Patterns for the items' titles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub titles: Vec<TitlePattern>,
    /// Tags, of which the item has at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub tags: Vec<Tag>,
}

/// What a loan by this flow may look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantRules {
    /// The longest loan, such as `4h`, `90m`, `1d12h` or `2w`; at least `1h`, the shortest life of a 1Password link.
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("maxDuration must be at least 1h, the shortest life of a 1Password link"))]
    pub max_duration: Span,
    /// The duration of a loan whose request names none, such as `4h`, `90m`, `1d12h` or `2w`; at least `1h`. Where the integration's
    /// `limits.maxDuration` is less, the loan lasts as long as that. Default: `1h`.
    #[serde(default = "one_hour")]
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("defaultDuration must be at least 1h, the shortest life of a 1Password link"))]
    pub default_duration: Span,
    /// How long each link opens at the most. Shorter is safer: a revocation cannot reach a link that was handed out. Default: `1h`.
    #[serde(default)]
    pub link_lifetime: LinkLifetime,
    /// Whether the borrower gets another link when one has ended and the loan has not. Default: `OnRequest`.
    #[serde(default)]
    pub renewal: Renewal,
    /// Whether a link may, must or must not open just once. Default: `Allowed`.
    #[serde(default)]
    pub view_once: ViewOnce,
    /// To whom links may go. Default: `Requester`.
    #[serde(default)]
    pub recipients: RecipientRule,
    /// Whether a request has to say why. Default: `Optional`.
    #[serde(default)]
    pub justification: Requirement,
}

fn one_hour() -> Span {
    Span("1h".into())
}

/// How long a 1Password link opens: the five lifetimes that 1Password knows.
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

/// Whether the borrower gets another link when one has ended and the loan has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Renewal {
    /// When the borrower asks.
    #[default]
    OnRequest,
    /// Never: the loan ends with its first link.
    Never,
}

/// Whether a link may, must or must not open just once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ViewOnce {
    /// The request decides.
    #[default]
    Allowed,
    /// Every link opens just once.
    Required,
    /// No link opens just once.
    Forbidden,
}

/// To whom links may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RecipientRule {
    /// Only to the requester's own address.
    #[default]
    Requester,
    /// To the addresses that the request lists, within the integration's `recipientDomains`.
    Listed,
}

/// Whether something has to be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Requirement {
    /// It may be left out.
    #[default]
    Optional,
    /// It has to be given.
    Required,
}

/// Who has to agree before a loan starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.mode == 'None') == (!has(self.groups) || self.groups.size() == 0)")
    .message("groups are required with mode AnyOf or AllOf, and are not allowed with mode None"))]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Whether any one or all of the groups have to agree, or nobody.
    pub mode: ApprovalMode,
    /// Groups of people who decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<ApproverGroup>,
    /// How long a request waits for approval, from its creation, such as `4h`, `90m`, `1d12h` or `2w`; then it lapses. Default: `24h`.
    #[serde(default = "one_day")]
    pub timeout: Span,
    /// Whether an approver has to say why. Default: `Optional`.
    #[serde(default)]
    pub reason: Requirement,
    /// Whether the approval of somebody counts whose e-mail address the cluster does not know, so that nobody can tell whether they are the requester
    /// or a recipient under another name. Their Deny and Revoke always count. Default: `Ignored`.
    #[serde(default)]
    pub without_address: WithoutAddress,
}

/// What the approval of somebody is worth whose e-mail address the cluster does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WithoutAddress {
    /// It does not count.
    #[default]
    Ignored,
    /// It counts: one person with two such accounts may approve what they ask for.
    Allowed,
}

fn one_day() -> Span {
    Span("24h".into())
}

/// Whether any one or all of the groups have to agree, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalMode {
    /// Nobody: a request that the flow covers is granted at once.
    None,
    /// One of the groups.
    AnyOf,
    /// Each of the groups.
    AllOf,
}

/// A group of people of whom a number has to agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproverGroup {
    /// A name for people to read, such as `security`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Who belongs to the group.
    #[schemars(length(min = 1, max = 20))]
    pub approvers: Vec<Approver>,
    /// How many different people of the group have to agree. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub required: u32,
}

fn one() -> u32 {
    1
}

/// Who may decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.kind in ['User', 'Group']) == has(self.name)")
    .message("name is required for User and Group, and is not allowed for ResourceOwner and IntegrationOwner"))]
#[x_kube(validation = Rule::new("self.kind != 'Group' || !has(self.name) || !self.name.startsWith('system:')")
    .message("groups of the system (system:...) are stripped from identities and match nobody; name a group of your own"))]
#[x_kube(validation = Rule::new("!has(self.name) || !self.name.startsWith('system:serviceaccount:')")
    .message("ServiceAccounts never decide; name a person or a group"))]
#[serde(rename_all = "camelCase")]
pub struct Approver {
    /// What the approver is.
    pub kind: ApproverKind,
    /// The username or the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub name: Option<String>,
}

/// What an approver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApproverKind {
    /// One person, by username or e-mail address.
    User,
    /// Everyone in a group.
    Group,
    /// Whoever the item's owner tag names; the integration's owners if it names nobody.
    ResourceOwner,
    /// The integration's owners.
    IntegrationOwner,
}

/// When a loan may start: on these days, from one time of day to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.from != self.to")
    .message("from and to must differ: write from 00:00 to 24:00 for whole days, or leave timeframe out to allow any time"))]
#[x_kube(validation = Rule::new("self.from != '24:00'")
    .message("from cannot be 24:00, the end of the day: write 00:00, and the day on which it opens"))]
#[serde(rename_all = "camelCase")]
pub struct Timeframe {
    /// The days on which the frame opens.
    #[schemars(length(min = 1, max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<Weekday>,
    /// When it opens, as `09:00`.
    pub from: TimeOfDay,
    /// When it closes, as `18:00`; if before `from`, on the next day. `24:00` is the end of the day.
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
#[allow(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// How much one requester may have by one flow at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowLimits {
    /// The most loans of one requester: those that run, and those that were ended or deleted, as long as a link of them may still open. A
    /// request beyond that waits (reason `LimitReached`). Default: 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub active_per_requester: u32,
    /// The most requests of one requester that wait for approval or for their first link. A request beyond that waits for one of these places
    /// (reason `LimitReached`). While five times as many of them wait in line, the next one fails at once (reason
    /// `TooManyRequests`). Default: 10.
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

/// Whether the flow can be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessFlowStatus {
    /// The generation of the spec that this status describes; -1 until the operator has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: the flow is valid and its integration exists. MatchesItems: each of its rules matches something in the account, as it was last
    /// listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How much there is to be lent by this flow, as the account was last listed; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lends: Option<FlowLends>,
}

/// How much there is to be lent by a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowLends {
    /// Vaults that have something to lend.
    pub vaults: u32,
    /// Items of these vaults, archived ones left out.
    pub items: u32,
}
