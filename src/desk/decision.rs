//! Decisions: whether one can be made about a grant, the object to create, and what to say about it
//! and its outcome.

use kube::ResourceExt as _;
use kube::core::ObjectMeta;

use crate::api::{
    AccessDecision, AccessDecisionSpec, AccessGrant, AccessGrantStatus, Decision, Identity, Phase,
    Requirement, Span,
};
use crate::plan::request_state::RequestState;

use super::action::{Action, Refusal};
use super::approvers::{approval, waits_for_approval};
use super::failed_call::{CallError, Refused};
use super::standing::{because, is_over, state};

/// The details of a decision.
#[derive(Clone, Debug, Default)]
pub struct Particulars {
    /// The reason.
    pub reason: Option<String>,
    /// The longest loan that the approver agrees to.
    pub max_duration: Option<Span>,
    /// The claim that the approver holds the verb `revoke`.
    pub may_revoke: Option<bool>,
}

/// Whether this decision can be made about a grant. A failed request cannot be approved or denied,
/// but its requester can revoke it while it may still recover.
pub fn can_be_made(decision: Decision, grant: &AccessGrant) -> Result<(), Refusal> {
    let name = grant.name_any();
    let has_begun = || {
        let status = grant.status.as_ref();
        status.is_some_and(|s| s.granted_at.is_some())
    };
    let refusal = match decision {
        Decision::Approve if has_terms_to_approve(grant) => return Ok(()),
        Decision::Approve => {
            let message = format!("{name} is not waiting for approval. It {}", state(grant));
            Refusal::new(message).next("see its state", Action::Explain(name))
        }
        Decision::Revoke if may_recover(grant) => return Ok(()),
        _ if is_over(grant) => Refusal::new(because(format_args!("{name} is already over"), grant)),
        Decision::Deny if has_begun() => {
            Refusal::new(format!("{name} is a running loan, which cannot be denied"))
                .next("end it", Action::Revoke(name))
        }
        Decision::Deny | Decision::Revoke => return Ok(()),
    };
    Err(refusal)
}

/// An approval needs terms, which have to be waiting for it.
fn has_terms_to_approve(grant: &AccessGrant) -> bool {
    let status = grant.status.as_ref();
    waits_for_approval(grant) && status.is_some_and(|s| s.digest.is_some())
}

/// Whether a failed request can still be granted once its cause is fixed.
fn may_recover(grant: &AccessGrant) -> bool {
    grant.status.as_ref().is_some_and(|status| {
        let failed = status.phase == Some(Phase::Failed);
        failed && status.record.is_none() && RequestState::shown(status).closed_since().is_none()
    })
}

/// Whether the flow requires a reason of approvers.
pub fn asks_for_a_reason(grant: &AccessGrant) -> bool {
    approval(grant).is_some_and(|approval| approval.reason == Requirement::Required)
}

/// The object to create. It has no owner, so that the decision stays when its request is deleted.
/// It names its approver even though most clusters stamp it: the policies of other clusters demand
/// it.
pub fn draft(
    me: Identity,
    grant: &AccessGrant,
    decision: Decision,
    particulars: Particulars,
) -> AccessDecision {
    let uid = grant.uid().unwrap_or_default();
    let digest = grant.status.as_ref().and_then(|s| s.digest.clone());
    let spec = AccessDecisionSpec {
        grant: grant.name_any(),
        grant_uid: uid,
        digest: digest.filter(|_| decision == Decision::Approve),
        decision,
        reason: particulars.reason,
        max_duration: particulars.max_duration,
        may_revoke: particulars.may_revoke,
        approver: Some(me),
    };
    let verb = format!("{decision:?}").to_lowercase();
    AccessDecision {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-{verb}-", grant.name_any())),
            ..ObjectMeta::default()
        },
        spec,
    }
}

/// Says that a decision was made.
pub fn created(made: &AccessDecision) -> String {
    format!("Created AccessDecision {}.", made.name_any())
}

/// The outcome of a decision.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The decision counts, or the grant is over anyway. The grant's state in words.
    Counted(String),
    /// The decision has no effect; with the reason.
    Ignored(Refusal),
}

/// The outcome of a decision. `None` while the operator has not counted it.
pub fn outcome(grant: &AccessGrant, made: &AccessDecision) -> Option<Outcome> {
    let status = grant.status.as_ref()?;
    let name = made.name_any();
    if let Some(ignored) = status.ignored_decisions.iter().find(|d| d.name == name) {
        let message = format!("decision {name} has no effect: {}", ignored.reason);
        return Some(Outcome::Ignored(Refusal::new(message)));
    }
    let is_over_for_good = is_over(grant) && !may_recover(grant);
    let ended = made.spec.decision != Decision::Approve && is_over_for_good;
    if !has_counted(status, made) && !ended {
        return None;
    }
    let (name, state) = (grant.name_any(), state(grant));
    let recorded = match made.spec.decision {
        Decision::Approve => "Approval recorded.",
        Decision::Deny => "Denial recorded.",
        Decision::Revoke => "Revocation recorded.",
    };
    Some(Outcome::Counted(match has_counted(status, made) {
        true => format!("{recorded} {name} {state}"),
        false => format!("{name} {state}"),
    }))
}

/// The operator has not counted a decision yet.
pub fn not_counted_yet(made: &AccessDecision, grant: &AccessGrant) -> Refusal {
    let name = made.name_any();
    let message = format!("decision {name} stands, but the operator has not counted it yet");
    Refusal::new(message).next("see whether it counts", Action::Explain(grant.name_any()))
}

/// A grant was deleted while a decision about it was waiting to be counted. `None` if the decision
/// was to end it anyway.
pub fn deleted(decision: Decision, grant: &AccessGrant) -> Option<Refusal> {
    let name = grant.name_any();
    let message = format!("{name} was deleted before the decision counted");
    (decision != Decision::Revoke).then(|| Refusal::new(message))
}

/// The decisions that a person may read. A person who may read requests may not be allowed to read
/// decisions; the decisions that count are in the requests' status anyway. Every other error stays
/// one, because there may be decisions.
pub fn readable(
    listed: Result<Vec<AccessDecision>, CallError>,
) -> Result<Vec<AccessDecision>, CallError> {
    match listed {
        Err(error) if matches!(error.refused, Refused::NoRight(_)) => Ok(Vec::new()),
        listed => listed,
    }
}

/// Whether a status counts this decision, and not only an earlier one of the same person.
pub fn has_counted(status: &AccessGrantStatus, made: &AccessDecision) -> bool {
    let spec = &made.spec;
    let by = spec.approver.as_ref().map(|by| &by.username);
    let at = made.creation_timestamp();
    status.decisions.iter().any(|counted| {
        Some(&counted.user) == by
            && Some(&counted.at) == at.as_ref()
            && counted.decision == spec.decision
            && counted.max_duration == spec.max_duration
            && counted.reason == spec.reason
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{IgnoredDecision, Time};
    use crate::desk::samples;

    fn approval() -> AccessDecision {
        draft(
            samples::bob(),
            &samples::waiting(),
            Decision::Approve,
            Particulars::default(),
        )
    }

    #[test]
    fn only_who_may_not_see_decisions_sees_none() {
        let refused = |refused| {
            Err(CallError {
                verb: "list",
                object: "accessdecisions in team-b".into(),
                refused,
            })
        };
        assert_eq!(readable(Ok(vec![approval()])).unwrap().len(), 1);
        let no_right = refused(Refused::NoRight("no".into()));
        assert_eq!(readable(no_right).unwrap().len(), 0);
        let error = readable(refused(Refused::Timeout)).unwrap_err();
        assert_eq!(error.refused, Refused::Timeout);
    }

    #[test]
    fn only_a_request_that_waits_can_be_approved() {
        let can_be_approved = |grant: &AccessGrant| can_be_made(Decision::Approve, grant);
        assert_eq!(can_be_approved(&samples::waiting()), Ok(()));
        let refused = can_be_approved(&samples::active()).unwrap_err();
        assert_eq!(
            refused.message,
            "alice-db is not waiting for approval. It is active."
        );
        let refused = can_be_approved(&samples::new()).unwrap_err();
        assert!(
            refused
                .message
                .ends_with("has not been looked at by the operator yet."),
            "{refused:?}"
        );
    }

    #[test]
    fn an_approval_names_the_very_request_its_terms_and_who_approves() {
        insta::assert_yaml_snapshot!(approval());
    }

    #[test]
    fn a_refusal_holds_for_any_terms() {
        let particulars = Particulars {
            reason: Some("use the replica".into()),
            ..Particulars::default()
        };
        let deny = draft(
            samples::bob(),
            &samples::waiting(),
            Decision::Deny,
            particulars,
        );
        assert_eq!(deny.spec.digest, None);
        assert_eq!(deny.spec.reason.as_deref(), Some("use the replica"));
    }

    #[test]
    fn a_decision_counts_when_the_status_says_so() {
        let mut grant = samples::waiting();
        let counted = samples::counted("bob@example.com", Decision::Approve);
        let mut approval = approval();
        approval.metadata.name = Some("alice-db-approve-x".into());
        approval.metadata.creation_timestamp = Some(counted.at.clone());
        assert_eq!(outcome(&grant, &approval), None);
        let status = grant.status.as_mut().unwrap();
        status.decisions.push(counted);
        assert!(matches!(
            outcome(&grant, &approval),
            Some(Outcome::Counted(_))
        ));
        let status = grant.status.as_mut().unwrap();
        status.ignored_decisions.push(IgnoredDecision {
            uid: None,
            decision: None,
            name: "alice-db-approve-x".into(),
            user: "bob@example.com".into(),
            reason: "the terms have changed".into(),
        });
        let why = "decision alice-db-approve-x has no effect: the terms have changed";
        let ignored = Outcome::Ignored(Refusal::new(why));
        assert_eq!(outcome(&grant, &approval), Some(ignored));
    }

    #[rstest::rstest]
    #[case::made_later("2026-11-24T10:56:00Z", None, None)]
    #[case::with_another_reason("2026-11-24T10:55:00Z", Some("she is on call"), None)]
    #[case::for_another_time("2026-11-24T10:55:00Z", None, Some("2h"))]
    fn a_second_approval_does_not_count_because_the_first_one_did(
        #[case] at: &str,
        #[case] reason: Option<&str>,
        #[case] max_duration: Option<&str>,
    ) {
        let mut grant = samples::waiting();
        let counted = samples::counted("bob@example.com", Decision::Approve);
        grant.status.as_mut().unwrap().decisions.push(counted);
        let mut second = approval();
        second.metadata.name = Some("alice-db-approve-y".into());
        second.metadata.creation_timestamp = Some(Time(at.parse().unwrap()));
        second.spec.reason = reason.map(Into::into);
        second.spec.max_duration = max_duration.map(|most| Span(most.into()));
        assert_eq!(outcome(&grant, &second), None);
    }

    #[test]
    fn a_request_that_only_stands_still_is_not_over() {
        let mut grant = samples::waiting();
        let counted = samples::counted("bob@example.com", Decision::Approve);
        let mut approval = approval();
        approval.metadata.creation_timestamp = Some(counted.at.clone());
        grant.status.as_mut().unwrap().decisions.push(counted);
        samples::say(&mut grant, "Stalled", true, "Stopped", "it stands still");
        let Some(Outcome::Counted(told)) = outcome(&grant, &approval) else {
            panic!("it counts");
        };
        assert!(
            told.starts_with("Approval recorded. alice-db is pending"),
            "{told}"
        );
    }

    #[rstest::rstest]
    #[case::while_its_cause_may_be_mended("ItemNotFound", None, true)]
    #[case::not_where_its_reason_is_one_for_good("OutsideTimeframe", None, false)]
    #[case::not_after_a_loan_without_a_link("FlowChosen", Some("2b0c"), false)]
    fn a_request_that_failed_can_be_taken_back(
        #[case] accepted: &str,
        #[case] record: Option<&str>,
        #[case] may_be: bool,
    ) {
        let mut grant = samples::waiting();
        samples::say(&mut grant, "Accepted", false, accepted, "it cannot be");
        let status = grant.status.as_mut().unwrap();
        status.phase = Some(Phase::Failed);
        status.record = record.map(Into::into);
        assert_eq!(may_recover(&grant), may_be);

        let particulars = Particulars::default();
        let revoke = draft(samples::alice(), &grant, Decision::Revoke, particulars);
        assert_eq!(outcome(&grant, &revoke).is_none(), may_be);
        let status = grant.status.as_mut().unwrap();
        status.phase = Some(Phase::Denied);
        status
            .decisions
            .push(samples::counted("alice@example.com", Decision::Revoke));
        assert!(matches!(
            outcome(&grant, &revoke),
            Some(Outcome::Counted(_))
        ));
    }
}
