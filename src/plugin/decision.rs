//! Making a decision: the object, and whether it counted.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::ObjectMeta;

use crate::api::{
    AccessDecision, AccessDecisionSpec, AccessGrant, AccessGrantStatus, Decision, Identity, Phase,
    Span,
};
use crate::plan::over::final_since;

use super::arguments::{GrantName, patience};
use super::failure::{Exit, Failure};
use super::output::{Format, print_object, remark, say};
use super::session::Session;
use super::signature;
use super::waiting::{Waited, is_over, until, where_it_is};

/// What all decisions take.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Arguments {
    #[command(flatten)]
    pub grant: GrantName,
    /// Why: the requester reads it, too.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Do not wait until the decision has been counted.
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait for that.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = patience)]
    pub timeout: Duration,
    /// Print the decision for programs.
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// What is decided about a grant.
#[derive(Clone, Debug, Default)]
pub struct Word {
    /// Why.
    pub reason: Option<String>,
    /// For how long at the most.
    pub max_duration: Option<Span>,
    /// That the approver holds the verb `revoke`.
    pub may_revoke: Option<bool>,
}

/// The request or loan, if there is still something that this decision refuses or ends. A request that has failed is weighed by nobody,
/// but can be taken back.
pub async fn not_over(
    session: &Session,
    named: &GrantName,
    decision: Decision,
) -> Result<AccessGrant, Failure> {
    let grant = session.grant(&named.name).await?;
    let can_be_taken_back = decision == Decision::Revoke && may_recover(&grant);
    if is_over(&grant) && !can_be_taken_back {
        return Err(Failure::new(format!(
            "{} is over already. {}",
            grant.name_any(),
            where_it_is(&grant)
        )));
    }
    Ok(grant)
}

/// Whether a request that has failed is granted after all once its cause is mended.
fn may_recover(grant: &AccessGrant) -> bool {
    grant.status.as_ref().is_some_and(|status| {
        let failed = status.phase == Some(Phase::Failed);
        failed && status.record.is_none() && final_since(status).is_none()
    })
}

/// Makes a decision in a person's name, waits until it has been counted, and says so.
pub async fn decide(
    session: &Session,
    me: Identity,
    grant: &AccessGrant,
    decision: Decision,
    word: Word,
    arguments: &Arguments,
) -> Result<Exit, Failure> {
    let made = made(me, grant, decision, word);
    let made = signature::create(session, made).await?;
    if let Some(format) = arguments.output {
        print_object(&made, format)?;
    } else {
        say(format_args!("Recorded as {}.", made.name_any()))?;
    }
    if arguments.no_wait {
        return Ok(Exit::Done);
    }
    let noticed = |seen: &AccessGrant| outcome(seen, &made);
    match until(session, grant, arguments.timeout, where_it_is, noticed).await? {
        Waited::There(Outcome::Counted(told)) => {
            match arguments.output {
                Some(_) => remark(told),
                None => say(told)?,
            }
            Ok(Exit::Done)
        }
        Waited::There(Outcome::Ignored(why)) => Err(Failure::new(format!(
            "the decision {} has no effect: {why}",
            made.name_any()
        ))),
        // A request that was taken back needs no decision any more; a loan that was deleted is over.
        Waited::Gone if decision == Decision::Revoke => Ok(Exit::Done),
        Waited::Gone => Err(Failure::new(format!(
            "{} has been deleted",
            grant.name_any()
        ))),
        Waited::TimedOut => {
            let failure = Failure::new(format!(
                "the decision {} stands, but has not been counted in time",
                made.name_any()
            ));
            let name = grant.name_any();
            let look = session.hints.command(format_args!("explain {name}"));
            Err(Failure {
                exit: Exit::TimedOut,
                ..failure.next(format!("see whether it counts: {look}"))
            })
        }
    }
}

/// The object. Who decides is written into it even where the cluster stamps it: on others, the policy demands it.
fn made(me: Identity, grant: &AccessGrant, decision: Decision, word: Word) -> AccessDecision {
    let uid = grant.uid().unwrap_or_default();
    let digest = grant.status.as_ref().and_then(|s| s.digest.clone());
    let spec = AccessDecisionSpec {
        grant: grant.name_any(),
        grant_uid: uid,
        digest: digest.filter(|_| decision == Decision::Approve),
        decision,
        reason: word.reason,
        max_duration: word.max_duration,
        may_revoke: word.may_revoke,
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

/// What became of a decision.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Counted(String),
    Ignored(String),
}

fn outcome(grant: &AccessGrant, made: &AccessDecision) -> Option<Outcome> {
    let status = grant.status.as_ref()?;
    let name = made.name_any();
    if let Some(ignored) = status.ignored_decisions.iter().find(|d| d.name == name) {
        return Some(Outcome::Ignored(ignored.reason.clone()));
    }
    let is_over_for_good = is_over(grant) && !may_recover(grant);
    let ended = made.spec.decision != Decision::Approve && is_over_for_good;
    if !has_counted(status, made) && !ended {
        return None;
    }
    let name = grant.name_any();
    let now = where_it_is(grant);
    let stands = if is_over(grant) {
        format!("{name} is over. {now}")
    } else {
        format!("It counts. {name}: {now}")
    };
    Some(Outcome::Counted(stands))
}

/// Whether a status counts this very decision, and not just an earlier one of the same person. It names none of them.
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
    use super::super::samples;
    use super::*;
    use crate::api::{IgnoredDecision, Time};

    fn approval() -> AccessDecision {
        made(
            samples::bob(),
            &samples::waiting(),
            Decision::Approve,
            Word::default(),
        )
    }

    #[test]
    fn an_approval_names_the_very_request_its_terms_and_who_approves() {
        insta::assert_yaml_snapshot!(approval());
    }

    #[test]
    fn a_refusal_holds_for_any_terms() {
        let word = Word {
            reason: Some("use the replica".into()),
            ..Word::default()
        };
        let deny = made(samples::bob(), &samples::waiting(), Decision::Deny, word);
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
            name: "alice-db-approve-x".into(),
            user: "bob@example.com".into(),
            reason: "the terms have changed".into(),
        });
        let ignored = Outcome::Ignored("the terms have changed".into());
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
        assert!(told.starts_with("It counts. alice-db: Pending"), "{told}");
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

        let word = Word::default();
        let revoke = made(samples::alice(), &grant, Decision::Revoke, word);
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
