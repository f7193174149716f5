//! One decision on a request, and whether its maker is entitled to it.

use jiff::Timestamp;

use crate::api::{
    AccessDecision, CountedDecision, Decision, Identity, IgnoredDecision, Requirement, Time,
};
use crate::plan::case::Request;
use crate::plan::observed::Observed;
use crate::plan::terms::Agreement;

use super::approvers::{Approvers, is_person};

/// The decision came when it could no longer change anything.
pub(super) const TOO_LATE: &str = "the decision came too late";

/// The terms require no approval.
const NOT_REQUIRED: &str = "the flow does not require approval";

/// One decision, with its maker as far as that is known.
pub(super) struct Vote<'a> {
    pub(super) object: &'a AccessDecision,
    pub(super) by: &'a Identity,
    pub(super) at: Timestamp,
}

impl<'a> Vote<'a> {
    /// The decision, if a person made it.
    pub(super) fn of(object: &'a AccessDecision) -> Option<Self> {
        let spec = &object.spec;
        // Admission has verified the verb for every holder, including `system:admin`.
        let holds_verb = spec.decision == Decision::Revoke && spec.may_revoke == Some(true);
        let by = spec.approver.as_ref();
        let by = by.filter(|by| holds_verb || is_person(by))?;
        let at = object.metadata.creation_timestamp.as_ref()?.0;
        Some(Self { object, by, at })
    }

    /// The decision, if it is about this request and by a person.
    pub(super) fn on(
        request: &Request<'_>,
        object: &'a AccessDecision,
    ) -> Result<Self, &'static str> {
        if object.spec.grant_uid != request.uid {
            return Err("the decision is about another request of this name: its grantUid differs");
        }
        Self::of(object)
            .ok_or("the decision does not identify a person; ServiceAccounts cannot decide")
    }

    /// Whether the decision is in time. A Deny counts until the loan starts.
    pub(super) fn in_time(&self, approvers: &Approvers<'_>) -> Result<(), &'static str> {
        let is_approval = self.object.spec.decision == Decision::Approve;
        match is_approval && !approvers.at(self.at).is_in_time() {
            true => Err(TOO_LATE),
            false => Ok(()),
        }
    }

    /// The groups for which an approval could count, or the reason why it counts for none.
    pub(super) fn approves(
        &self,
        agreement: &Agreement,
        approvers: &Approvers<'_>,
    ) -> Result<Vec<usize>, &'static str> {
        let spec = &self.object.spec;
        let approval = agreement.terms.approval.as_ref().ok_or(NOT_REQUIRED)?;
        if spec.digest.as_ref() != Some(&agreement.digest) {
            return Err(
                "the decision approves other terms: review the current terms and approve the \
                 digest in the status",
            );
        }
        let groups = approvers.at(self.at).may_approve(self.by)?;
        let silent = spec.reason.as_ref().is_none_or(|r| r.trim().is_empty());
        if approval.reason == Requirement::Required && silent {
            return Err("the flow requires approvers to give a reason, and the decision has none");
        }
        Ok(groups)
    }

    /// Whether the maker of a Deny or a Revoke is entitled to it.
    pub(super) fn says_no(&self, approvers: &Approvers<'_>) -> Result<(), &'static str> {
        let spec = &self.object.spec;
        let entitled = match spec.decision {
            Decision::Deny => approvers.may_deny(self.by),
            _ => spec.may_revoke == Some(true) || approvers.may_revoke(self.by),
        };
        match (entitled, spec.decision) {
            (true, _) => Ok(()),
            (false, Decision::Deny) => {
                Err("only an approver of the request or an owner can deny it")
            }
            (false, _) => Err(
                "only the requester, an approver, an owner or a holder of the verb revoke on the \
                 grant can revoke it",
            ),
        }
    }

    /// The decision as one that counts.
    pub(super) fn counted(&self) -> CountedDecision {
        CountedDecision {
            uid: self.object.metadata.uid.clone(),
            name: self.object.metadata.name.clone(),
            user: self.by.username.clone(),
            decision: self.object.spec.decision,
            group: None,
            at: Time(self.at),
            reason: self.object.spec.reason.clone(),
            max_duration: self.object.spec.max_duration.clone(),
        }
    }
}

/// The people who may decide on a request with this agreement, at the time of the plan.
pub(super) fn approvers<'a>(request: &Request<'a>, agreement: &'a Agreement) -> Approvers<'a> {
    let approval = agreement.terms.approval.as_ref();
    let due = approval.map_or(Timestamp::MAX, |a| request.approval_deadline(a));
    let (requester, blocked) = (Some(&agreement.requester), request.seen.blocked());
    Approvers::of(&agreement.terms, requester, blocked)
        .during(request.made..due)
        .at(request.now)
}

/// The decisions in the order of their creation.
pub(super) fn in_order(seen: &Observed) -> Vec<&AccessDecision> {
    let mut objects: Vec<_> = seen.decisions.iter().map(AsRef::as_ref).collect();
    objects.sort_by_key(|object: &&AccessDecision| {
        let meta = &object.metadata;
        let at = meta.creation_timestamp.as_ref().map(|t| t.0);
        (at, meta.name.clone(), meta.uid.clone())
    });
    objects
}

/// A decision without effect, for this reason.
pub(super) fn ignored_decision(object: &AccessDecision, reason: &str) -> IgnoredDecision {
    let by = object.spec.approver.as_ref();
    IgnoredDecision {
        uid: object.metadata.uid.clone(),
        decision: Some(object.spec.decision),
        name: object.metadata.name.clone().unwrap_or_default(),
        user: by.map_or_else(String::new, |by| by.username.clone()),
        reason: reason.to_owned(),
    }
}
