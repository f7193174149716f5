//! `AccessDecision`: one decision by one person about one request.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::values::{AN_HOUR_OR_MORE, NAME_PATTERN, Span};

/// One decision by one person about one request. It cannot be changed, and only the operator
/// deletes it.
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
    .message("a decision cannot be changed: create another one"))]
#[x_kube(validation = Rule::new("self.decision != 'Approve' || has(self.digest)")
    .message("Approve requires the digest of the approved terms: copy status.digest of the grant"))]
#[x_kube(validation = Rule::new("!has(self.maxDuration) || self.decision == 'Approve'")
    .message("maxDuration is allowed with Approve only: only an approval can shorten a loan"))]
#[serde(rename_all = "camelCase")]
pub struct AccessDecisionSpec {
    /// The name of the grant, which is in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub grant: String,
    /// The grant's uid. A later grant of the same name never inherits this decision.
    #[schemars(length(min = 1, max = 64))]
    pub grant_uid: String,
    /// The digest of the approved terms, copied from the grant's `status.digest`: `v1:sha256:` and
    /// 64 hexadecimal digits. The digest also covers the grant's uid. Required for `Approve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub digest: Option<String>,
    /// The decision.
    pub decision: Decision,
    /// The reason for the decision, at most 1000 characters. A flow can require approvers to give
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub reason: Option<String>,
    /// The longest duration that this approval allows, such as `4h`, `90m`, `1d12h` or `2w`; at
    /// least `1h`. Only for `Approve`. Default: the duration in the terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(AN_HOUR_OR_MORE)
        .message("maxDuration must be at least 1h, the shortest 1Password link lifetime"))]
    pub max_duration: Option<Span>,
    /// Whether the person holds the verb `revoke` on the grant, which allows them to end it.
    /// Admission sets and verifies this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_revoke: Option<bool>,
    /// The person who decides. The API server sets this field from Kubernetes 1.36 on. Before that,
    /// set it to your own username, groups and e-mail address; admission rejects wrong values and
    /// returns the correct ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<Identity>,
}

/// A person's decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// Approve exactly these terms.
    Approve,
    /// Refuse the request permanently. Has no effect on a running loan.
    Deny,
    /// Withdraw the request or end the loan.
    Revoke,
}
