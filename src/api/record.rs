//! `AccessRecord`: the ledger of one loan or of one denied request, kept beyond the grant's own life.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::terms::{CountedDecision, ObjectIdentity, Terms};
use super::values::Time;

/// The ledger of one loan, or of one request that was denied: named by the grant's uid, kept in the integration's namespace, written by the operator
/// alone. The operator deletes it when the grant is gone, 90 days after the request was denied, or the loan and its last link have ended.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keyloan.dev",
    version = "v1alpha1",
    kind = "AccessRecord",
    plural = "accessrecords",
    shortname = "record",
    category = "keyloan",
    namespaced,
    derive = "PartialEq",
    selectable = ".spec.grant.uid",
    selectable = ".spec.grant.name",
    selectable = ".spec.grant.namespace",
    selectable = ".spec.requester.username",
    printcolumn(name = "Grant", type_ = "string", json_path = ".spec.grant.name"),
    printcolumn(name = "From", type_ = "string", json_path = ".spec.grant.namespace"),
    printcolumn(
        name = "Requester",
        type_ = "string",
        json_path = ".spec.requester.username"
    ),
    printcolumn(name = "Item", type_ = "string", json_path = ".spec.terms.item.title"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".spec.outcome"),
    printcolumn(name = "End", type_ = "string", json_path = ".spec.end.reason"),
    printcolumn(
        name = "Opens until",
        type_ = "string",
        json_path = ".spec.residualUntil"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("self.grant == oldSelf.grant && self.requester == oldSelf.requester && self.terms == oldSelf.terms && self.digest == oldSelf.digest")
    .message("what was agreed cannot be changed in a record"))]
#[x_kube(validation = Rule::new("has(self.justification) == has(oldSelf.justification) && (!has(self.justification) || self.justification == oldSelf.justification) && has(self.requestedAt) == has(oldSelf.requestedAt) && (!has(self.requestedAt) || self.requestedAt == oldSelf.requestedAt)")
    .message("why and when it was asked for cannot be changed in a record"))]
#[x_kube(validation = Rule::new("(has(self.outcome) ? self.outcome : 'Lent') == (has(oldSelf.outcome) ? oldSelf.outcome : 'Lent')")
    .message("the outcome cannot be changed in a record: Lent stays Lent, and Denied stays Denied"))]
#[x_kube(validation = Rule::new("!has(self.outcome) || self.outcome != 'Denied' || (has(self.end) && self.end.reason == 'Denied' && (!has(self.links) || self.links.size() == 0))")
    .message("the record of a denied request has no links, and its end has the reason Denied"))]
#[x_kube(validation = Rule::new("!has(self.end) || self.end.reason != 'Denied' || (has(self.outcome) && self.outcome == 'Denied')")
    .message("only a request whose outcome is Denied ends with the reason Denied"))]
#[serde(rename_all = "camelCase")]
pub struct AccessRecordSpec {
    /// The grant.
    pub grant: ObjectIdentity,
    /// The install of Keyloan that lends: the label `keyloan.dev/install` on what carries the link has this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub install: Option<String>,
    /// Who asked. Of a denied request without the groups.
    pub requester: Identity,
    /// Why it was asked for, in the requester's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub justification: Option<String>,
    /// When it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Time>,
    /// What became of the request. Absent in records of older releases, which are of loans: `Lent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<RequestOutcome>,
    /// All that was agreed, or would have been.
    pub terms: Terms,
    /// The digest over the effects of the terms: `v1:sha256:` and 64 hexadecimal digits; it covers the grant's uid, too.
    #[schemars(length(min = 1, max = 128))]
    pub digest: String,
    /// The decisions that counted; of a denied request the denial, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub decisions: Vec<CountedDecision>,
    /// Every link that was issued or may have been.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["sequence"]))]
    pub links: Vec<LinkRecord>,
    /// How and when the loan ended, or the request was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<EndRecord>,
    /// Until when a link of this loan may still open, once the loan is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual_until: Option<Time>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RequestOutcome {
    /// It came to a loan.
    Lent,
    /// Somebody who decides said no. Nothing was lent.
    Denied,
}

/// One link, from the intent to issue it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkRecord {
    /// Which link of this loan it is, from 1.
    #[schemars(range(min = 1))]
    pub sequence: u32,
    /// When issuing it was about to begin.
    pub intent_at: Time,
    /// Random: by it the replica that wrote the intent knows it again where the answer to its writing was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub attempt: Option<String>,
    /// The latest time until which it can open, if it was issued at all.
    pub latest_end: Time,
    /// When 1Password's answer arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Time>,
    /// Until when it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// The version of the item that was shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_version: Option<u32>,
    /// What became of the intent; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<LinkOutcome>,
}

/// What became of an intent to issue a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LinkOutcome {
    /// The link is in its Secret.
    Issued,
    /// 1Password refused: there is no link.
    Refused,
    /// It is not known whether there is a link; its key is lost, so nobody can be given it.
    Lost,
}

/// How and when a loan ended, or a request was denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndRecord {
    /// Why.
    pub reason: EndReason,
    /// Who ended it, by username; absent where nobody did, or nobody knows who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When.
    pub at: Time,
}

/// Why a loan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EndReason {
    /// Its time was over.
    Expired,
    /// Somebody entitled to revoked it.
    Revoked,
    /// The grant was deleted.
    Deleted,
    /// The item changed in 1Password; ask again for the new one.
    ItemChanged,
    /// The requester or a recipient is blocked.
    Blocked,
    /// The one link of this loan has ended, and there is no other.
    LinkEnded,
    /// The first link could not be issued.
    NotIssued,
    /// Somebody who decides said no before anything was lent.
    Denied,
}
