//! `AccessRecord`: the ledger of one loan, or of one request that was not granted, kept longer than
//! the grant.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::terms::{ConsideredFlow, CountedDecision, IgnoredDecision, ObjectIdentity, Terms};
use super::values::Time;

/// The ledger of one loan, or of one request that a flow covered and that was not granted. Its name
/// is the grant's uid, it is in the integration's namespace, and only the operator writes it. The
/// operator deletes it when the grant is gone and 90 days have passed since the request ended, or
/// since the loan and its last link ended.
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
    selectable = ".spec.grant.name",
    selectable = ".spec.grant.namespace",
    selectable = ".spec.requester.username",
    selectable = ".spec.terms.integration.name",
    selectable = ".spec.terms.item.id",
    selectable = ".spec.terms.item.title",
    selectable = ".spec.outcome",
    selectable = ".spec.requestedOn",
    printcolumn(name = "Grant", type_ = "string", json_path = ".spec.grant.name"),
    printcolumn(name = "From", type_ = "string", json_path = ".spec.grant.namespace"),
    printcolumn(
        name = "Requester",
        type_ = "string",
        json_path = ".spec.requester.username"
    ),
    printcolumn(name = "Item", type_ = "string", json_path = ".spec.terms.item.title"),
    printcolumn(
        name = "Integration",
        type_ = "string",
        json_path = ".spec.terms.integration.name",
        priority = 1
    ),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".spec.outcome"),
    printcolumn(name = "End", type_ = "string", json_path = ".spec.end.reason"),
    printcolumn(
        name = "Opens until",
        type_ = "string",
        json_path = ".spec.residualUntil"
    ),
    printcolumn(name = "Requested", type_ = "date", json_path = ".spec.requestedAt")
)]
#[x_kube(validation = Rule::new("self.grant == oldSelf.grant && self.requester == oldSelf.requester && self.terms == oldSelf.terms && self.digest == oldSelf.digest")
    .message("the agreed terms of a record cannot be changed"))]
#[x_kube(validation = Rule::new("has(self.justification) == has(oldSelf.justification) && (!has(self.justification) || self.justification == oldSelf.justification) && has(self.requestedAt) == has(oldSelf.requestedAt) && (!has(self.requestedAt) || self.requestedAt == oldSelf.requestedAt) && has(self.requestedOn) == has(oldSelf.requestedOn) && (!has(self.requestedOn) || self.requestedOn == oldSelf.requestedOn)")
    .message("the justification and the time of the request cannot be changed in a record"))]
#[x_kube(validation = Rule::new("(has(self.outcome) ? self.outcome : 'Lent') == (has(oldSelf.outcome) ? oldSelf.outcome : 'Lent')")
    .message("the outcome cannot be changed in a record"))]
#[x_kube(validation = Rule::new("!has(self.outcome) || self.outcome == 'Lent' || (has(self.end) && self.end.reason == self.outcome && (!has(self.links) || self.links.size() == 0))")
    .message("the record of a request that was not granted has no links, and its outcome is the reason of its end"))]
#[x_kube(validation = Rule::new("!has(self.end) || !(self.end.reason in ['Denied', 'TakenBack', 'Lapsed', 'Failed']) || (has(self.outcome) && self.outcome == self.end.reason)")
    .message("a loan does not end with the reason Denied, TakenBack, Lapsed or Failed"))]
#[serde(rename_all = "camelCase")]
pub struct AccessRecordSpec {
    /// The grant.
    pub grant: ObjectIdentity,
    /// The install of Keyloan that lends the item: the value of the label
    /// `keyloan.dev/install` on the link's objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub install: Option<String>,
    /// The requester. For a request that was not granted, without the groups.
    pub requester: Identity,
    /// The requester's justification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub justification: Option<String>,
    /// The time of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Time>,
    /// The day of the request, in UTC, such as `2026-11-24`, for field selectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    pub requested_on: Option<String>,
    /// The outcome of the request. Absent in records of older releases, which exist only for loans:
    /// `Lent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<RequestOutcome>,
    /// The agreed terms or, for a request that was not granted, the proposed ones.
    pub terms: Terms,
    /// The digest over the effects of the terms: `v1:sha256:` and 64 hexadecimal digits. The digest
    /// also covers the grant's uid.
    #[schemars(length(min = 1, max = 128))]
    pub digest: String,
    /// The decisions that counted, including the denial of a denied request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub decisions: Vec<CountedDecision>,
    /// The decisions that had no effect until the loan began or the request ended, each with the
    /// reason. At most 20 are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub ignored_decisions: Vec<IgnoredDecision>,
    /// The flows that were not chosen, each with the reason. At most 20 are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub considered_flows: Vec<ConsideredFlow>,
    /// The start of the loan: the time at which 1Password's answer with the first link arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Time>,
    /// The time at which the loan ends unless somebody ends it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Every link that was issued or may have been issued.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["sequence"]))]
    pub links: Vec<LinkRecord>,
    /// How and when the loan or the request ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<EndRecord>,
    /// The time until which a link of this loan may still open after the loan is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual_until: Option<Time>,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RequestOutcome {
    /// The request became a loan.
    Lent,
    /// An approver or owner denied the request. Nothing was lent.
    Denied,
    /// The requester withdrew the request, or it was deleted, before anything was lent.
    TakenBack,
    /// The request was not approved, or could not be started, in time.
    Lapsed,
    /// The request could not be granted.
    Failed,
}

/// One link, from the intent to issue it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkRecord {
    /// The number of the link within this loan, starting at 1.
    #[schemars(range(min = 1))]
    pub sequence: u32,
    /// The time just before issuing began.
    pub intent_at: Time,
    /// A random value. With it, the replica that wrote the intent recognizes it if the API server's
    /// answer was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub attempt: Option<String>,
    /// The latest time until which the link can open, if it was issued at all.
    pub latest_end: Time,
    /// The time at which 1Password's answer arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Time>,
    /// The time until which the link opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// The version of the item that was shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_version: Option<u32>,
    /// The outcome of the intent. Absent while the intent is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<LinkOutcome>,
}

/// The outcome of an intent to issue a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LinkOutcome {
    /// The link is in its Secret.
    Issued,
    /// 1Password refused the link: it does not exist.
    Refused,
    /// It is unknown whether the link exists. Its key is lost, so nobody can receive it.
    Lost,
}

/// How and when a loan or a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndRecord {
    /// The reason for the end.
    pub reason: EndReason,
    /// The username of the person who ended it. Absent if nobody did or the person is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The time of the end.
    pub at: Time,
}

/// The reason why a loan or a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EndReason {
    /// The loan's time was over.
    Expired,
    /// Someone entitled to do so revoked the loan.
    Revoked,
    /// The grant was deleted.
    Deleted,
    /// The item changed in 1Password. Request again for the new version.
    ItemChanged,
    /// The requester or a recipient is blocked.
    Blocked,
    /// The loan's only link has ended.
    LinkEnded,
    /// The first link could not be issued.
    NotIssued,
    /// The record was restored from a backup: it is history, so the request lends nothing. The actual
    /// end is unknown; the time of the end is that of the restore.
    Restored,
    /// An approver or owner denied the request before anything was lent.
    Denied,
    /// The requester withdrew the request, or it was deleted, before anything was lent.
    TakenBack,
    /// The request was not approved, or could not be started, in time.
    Lapsed,
    /// The request could not be granted.
    Failed,
}
