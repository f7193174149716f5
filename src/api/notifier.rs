//! `AccessNotifier`: who is told about requests and loans, and by which channel.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::Condition;
use super::values::{
    Email, HOST_PATTERN, NAME_PATTERN, SECRET_KEY_PATTERN, Span, TEN_MINUTES_OR_MORE, Time,
    URL_PATTERN,
};

/// A receiver of notices about the requests and loans of the integrations in its namespace. A
/// notice never contains a link's URL, a token or a field of an item.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keyloan.dev",
    version = "v1alpha1",
    kind = "AccessNotifier",
    plural = "accessnotifiers",
    shortname = "notifier",
    category = "keyloan",
    namespaced,
    status = "AccessNotifierStatus",
    derive = "PartialEq",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Backlog", type_ = "integer", json_path = ".status.backlog"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')")
        .message("the name of a notifier becomes the value of a label: at most 63 characters, and \
                  no dots")
)]
#[x_kube(validation = Rule::new("[has(self.slack), has(self.teams), has(self.webhook), has(self.email)].filter(set, set).size() == 1")
    .message("set exactly one channel: slack, teams, webhook or email"))]
#[x_kube(validation = Rule::new("has(self.secretRef) || (has(self.email) && !has(self.email.server.credentials))")
    .message("secretRef is required: the Secret holds the channel's URL, keys or password"))]
#[x_kube(validation = Rule::new("!has(self.remindAfter) || !has(self.events) || self.events.size() == 0 || self.events.exists(e, e == 'Reminder')")
    .message("remindAfter has no effect without the event Reminder: add it to events"))]
#[serde(rename_all = "camelCase")]
pub struct AccessNotifierSpec {
    /// The flows whose requests and loans are told, by name, at most 100. Default: all flows in
    /// this namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub flows: Vec<FlowName>,
    /// The events that are told. Default: for `webhook`, all; for people, all but `Decided`,
    /// `LinkRenewed` and `LinksOver`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub events: Vec<NoticeEvent>,
    /// The time after which a request that still waits for approval is told again, once, such as
    /// `30m`; at least `10m`. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(TEN_MINUTES_OR_MORE)
        .message("remindAfter must be at least 10m"))]
    pub remind_after: Option<Span>,
    /// The Secret with the URLs, keys and passwords of the channel, in the notifier's namespace.
    /// Required, except for a mail server that asks for no password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NotifierSecretRef>,
    /// The web pages to which notices lead. Default: notices name commands only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<NoticeLinks>,
    /// A Slack channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<ChatChannel>,
    /// A Microsoft Teams channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<ChatChannel>,
    /// A program, which receives CloudEvents in JSON, signed as Standard Webhooks defines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// People, by e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Mail>,
}

/// The name of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FlowName(
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))] pub String,
);

/// A step of a request or of a loan.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum NoticeEvent {
    /// A request waits for approval. Told again if its terms change.
    Requested,
    /// A request that was made `remindAfter` ago still waits for approval.
    Reminder,
    /// Somebody approved, denied or revoked, and the decision counts.
    Decided,
    /// All required approvals have been given.
    Approved,
    /// An approver or owner denied the request.
    Denied,
    /// The request was withdrawn before anything was lent.
    TakenBack,
    /// The request was not approved or not started in time.
    Lapsed,
    /// The request cannot be granted, or its first link could not be issued.
    Failed,
    /// The first link is ready: the loan runs.
    LinkIssued,
    /// A further link is ready.
    LinkRenewed,
    /// A link was lost: it may exist, and nobody has it.
    LinkLost,
    /// The loan ends in 10 minutes.
    EndsSoon,
    /// The loan has ended. Its links may still open.
    Ended,
    /// The last link of an ended loan has ended, too.
    LinksOver,
}

/// Web pages to which notices lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoticeLinks {
    /// A page on which people see and decide requests. `{namespace}`, `{name}` and `{uid}` stand
    /// for the request's.
    #[schemars(length(max = 500), regex(pattern = URL_PATTERN))]
    pub portal: String,
}

/// A channel of a chat, by the URL of an incoming webhook. Such a URL is a secret: anyone who has it
/// can write to the channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatChannel {
    /// The key of the URL in the Secret. Default: `url`.
    #[serde(default)]
    pub url_key: UrlKey,
    /// Further channels for the members of approver groups, at most 20: what matters to approvers
    /// (`Requested`, `Reminder`) goes to the channels of the groups that are still wanted, and to
    /// the first channel if none of them has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<GroupChannel>,
}

/// The channel of one approver group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupChannel {
    /// The approver group's name in its flow.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The key of the URL of the group's channel in the Secret.
    pub url_key: UrlKey,
}

/// A program that receives events by HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The key of the URL in the Secret. Default: `url`.
    #[serde(default)]
    pub url_key: UrlKey,
    /// The keys of the signing keys in the Secret, 1 to 5. Each signing key is as Standard Webhooks
    /// writes it (`whsec_` and 24 to 64 bytes in base64). Each event has a signature by each of
    /// them, so one can be replaced without a gap: add the new one, have the receiver use it, remove
    /// the old.
    #[schemars(length(min = 1, max = 5))]
    pub signing_keys: Vec<SecretKey>,
}

/// People who are told by e-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.to.requester || self.to.recipients || (has(self.to.addresses) && self.to.addresses.size() > 0) || (has(self.to.groups) && self.to.groups.size() > 0)")
    .message("to names nobody: set requester, recipients, addresses or groups"))]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// The mail server that relays the messages.
    pub server: MailServer,
    /// The sender's address.
    pub from: Email,
    /// The people who are told.
    pub to: MailTo,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailServer {
    /// The server's name. Its certificate has to be valid for it.
    #[schemars(length(max = 253), regex(pattern = HOST_PATTERN))]
    pub host: String,
    /// The server's port. Default: 587 with `StartTLS`, 465 with `TLS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u32>,
    /// When the connection is encrypted. It always is before anything is sent.
    #[serde(default)]
    pub security: MailSecurity,
    /// The user's name and password. Default: the server asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<MailCredentials>,
}

impl MailServer {
    /// The port, also where none is set.
    pub fn port(&self) -> u16 {
        let usual = match self.security {
            MailSecurity::StartTLS => 587,
            MailSecurity::TLS => 465,
        };
        let port = self.port.and_then(|port| u16::try_from(port).ok());
        port.unwrap_or(usual)
    }
}

/// When a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MailSecurity {
    /// After the command STARTTLS. A server that does not offer it gets no message.
    #[default]
    StartTLS,
    /// From the beginning.
    TLS,
}

/// The name and the password with which to sign in to a mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailCredentials {
    /// The key of the user's name in the Secret.
    pub username_key: SecretKey,
    /// The key of the password in the Secret.
    pub password_key: SecretKey,
}

/// The people who are told by e-mail. Each gets only the events that matter to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailTo {
    /// The requester, if the cluster knows their address. Default: false.
    #[serde(default)]
    pub requester: bool,
    /// The recipients of links who are not the requester: they are told that something is there for
    /// them, by whom, and never what anybody wrote. Default: false.
    #[serde(default)]
    pub recipients: bool,
    /// Addresses that are told everything, such as an archive's, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub addresses: Vec<Email>,
    /// The addresses of approver groups, at most 20 groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<GroupAddresses>,
}

/// The addresses of one approver group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupAddresses {
    /// The approver group's name in its flow.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The addresses, 1 to 20.
    #[schemars(length(min = 1, max = 20))]
    pub addresses: Vec<Email>,
}

/// A key of the notifier's Secret.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct SecretKey(
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY_PATTERN))] pub String,
);

/// The key of a URL in the notifier's Secret; `url` by default.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct UrlKey(pub SecretKey);

impl Default for UrlKey {
    fn default() -> Self {
        Self(SecretKey("url".into()))
    }
}

/// A Secret in the notifier's namespace. The Secret must have the labels
/// `keyloan.dev/secret: notifier` and `keyloan.dev/notifier: <name of this notifier>`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct NotifierSecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
}

/// How the notices get on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessNotifierStatus {
    /// The generation of the spec that this status describes. It is -1 until the operator has
    /// processed the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The conditions `Ready` (the Secrets can be used) and `Delivering` (the receiver takes
    /// notices); and `Stalled`, only while a person has to act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The number of messages that wait to be delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u32>,
    /// The time of the oldest event whose notice waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting: Option<Time>,
    /// The number of messages that were given up since the notifier was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u32>,
    /// The last failed delivery. It stays until the same receiver takes a notice or, if none waits for
    /// it, until another one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<NoticeError>,
    /// Everything that happened before this time has been told or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_until: Option<Time>,
    /// The steps since `toldUntil` that have been told, in a short form, at most 2000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2000))]
    pub told: Vec<String>,
}

/// A failed delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoticeError {
    /// The time of the attempt.
    pub at: Time,
    /// The failure in a sentence, which quotes no secret.
    #[schemars(length(max = 500))]
    pub message: String,
}
