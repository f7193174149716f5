//! `AccessDecision`: one decision by one person about one request.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::values::{AN_HOUR_OR_MORE, NAME_PATTERN, Span};

/// One decision by one person about one request. It cannot be changed, and only the operator deletes it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keyloan.dev",
    version = "v1alpha1",
    kind = "AccessDecision",
    plural = "accessdecisions",
    shortname = "decision",
    category = "keyloan",
    namespaced,
    derive = "PartialEq",
    selectable = ".spec.grant",
    selectable = ".spec.grantUid",
    printcolumn(name = "Grant", type_ = "string", json_path = ".spec.grant"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(
        name = "Approver",
        type_ = "string",
        json_path = ".spec.approver.username"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("self == oldSelf")
    .message("a decision cannot be changed: make another one"))]
#[x_kube(validation = Rule::new("self.decision != 'Approve' || has(self.digest)")
    .message("Approve needs the digest of the terms that are approved: copy status.digest of the grant"))]
#[x_kube(validation = Rule::new("!has(self.maxDuration) || self.decision == 'Approve'")
    .message("only Approve can shorten a loan: leave maxDuration out"))]
#[serde(rename_all = "camelCase")]
pub struct AccessDecisionSpec {
    /// The grant, in the same namespace, by name.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub grant: String,
    /// The grant's uid: a later grant of the same name never inherits this decision.
    #[schemars(length(min = 1, max = 64))]
    pub grant_uid: String,
    /// The digest of the terms that are approved, as in the grant's status: `v1:sha256:` and 64 hexadecimal digits; it covers the grant's uid, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub digest: Option<String>,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub reason: Option<String>,
    /// Approve for no longer than this, such as `4h`, `90m`, `1d12h` or `2w`; at least `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("maxDuration must be at least 1h, the shortest life of a 1Password link"))]
    pub max_duration: Option<Span>,
    /// Whether the approver holds the verb `revoke` on the grant, which lets them end it: stamped and verified at admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_revoke: Option<bool>,
    /// Who decides. From Kubernetes 1.36 on the API server writes it; before, write your own username, groups and address: what is false is refused
    /// with the right value in the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<Identity>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// Yes, to these very terms.
    Approve,
    /// No: ends the request for good. Without effect on a loan that runs.
    Deny,
    /// End the loan, or the request.
    Revoke,
}
