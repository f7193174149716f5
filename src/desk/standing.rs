//! The state of a request or loan in one line: the phase and its cause.

use std::fmt::Display;

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{ACCEPTED, ACTIVE, APPROVED, AccessGrant, Condition, ENDED, Phase, STALLED, Time};
use crate::plan::conditions;

use super::action::{Action, Refusal};
use super::terms;
use super::text::Fact;
use super::times::{for_another, when};

/// Whether a request or loan is over.
pub fn is_over(grant: &AccessGrant) -> bool {
    matches!(
        phase(grant),
        Some(Phase::Denied | Phase::Lapsed | Phase::Failed | Phase::Ending | Phase::Ended)
    )
}

/// Whether a condition of a grant is true.
pub fn holds(grant: &AccessGrant, type_: &str) -> bool {
    let status = grant.status.as_ref();
    status.is_some_and(|status| conditions::holds(&status.conditions, type_))
}

/// A condition of a grant.
pub fn condition<'a>(grant: &'a AccessGrant, type_: &str) -> Option<&'a Condition> {
    let conditions = &grant.status.as_ref()?.conditions;
    conditions.iter().find(|c| c.type_ == type_)
}

/// The phase and its cause, as a line of its own.
pub fn phase_and_cause(grant: &AccessGrant) -> String {
    let Some(phase) = phase(grant) else {
        return "The operator has not looked at it yet".into();
    };
    match cause(grant) {
        None => format!("{phase:?}"),
        Some(cause) => format!("{phase:?}: {cause}"),
    }
}

/// The phase and its cause, as the end of a sentence about the grant: `is pending: ...`.
pub fn state(grant: &AccessGrant) -> String {
    let phase = match phase(grant) {
        None => "has not been looked at by the operator yet",
        Some(Phase::Pending) => "is pending",
        Some(Phase::Issuing) => "is getting its first link",
        Some(Phase::Active) => "is active",
        Some(Phase::Failed) => "has failed",
        Some(Phase::Denied | Phase::Lapsed | Phase::Ending | Phase::Ended) => "is over",
    };
    because(phase, grant)
}

/// A sentence about a grant that ends with the cause of its phase.
pub fn because(sentence: impl Display, grant: &AccessGrant) -> String {
    match cause(grant) {
        None => format!("{sentence}."),
        Some(cause) => format!("{sentence}: {}.", cause.trim_end_matches('.')),
    }
}

/// The cause of the phase, or the time at which the loan ends: for a line that shows the phase
/// itself.
pub fn cause_or_end(grant: &AccessGrant, now: Timestamp) -> String {
    let Some(status) = &grant.status else {
        return phase_and_cause(grant);
    };
    let time = |word: &str, at: &Option<Time>| {
        let at = at.as_ref();
        at.map(|at| format!("{word} {}", when(at.0, now)))
    };
    let timed = match status.phase {
        Some(Phase::Active) => time("ends", &status.expires_at),
        Some(Phase::Ended) => time("ended", &status.ended_at),
        Some(Phase::Ending) => {
            let residual = status.residual_until.as_ref();
            let residual = residual.filter(|t| t.0 > now);
            residual.map(|t| format!("over; a link may still open {}", for_another(t.0, now)))
        }
        _ => None,
    };
    timed.or_else(|| cause(grant)).unwrap_or_default()
}

/// The facts of a loan that has just started.
pub fn new_loan(grant: &AccessGrant, now: Timestamp) -> [Fact; 3] {
    let status = grant.status.as_ref();
    let time = |at: Option<&Time>| at.map_or_else(String::new, |at| when(at.0, now));
    let link = status.and_then(|s| s.link.as_ref());
    [
        ("Item", terms::item(grant)),
        (
            "Loan ends",
            time(status.and_then(|s| s.expires_at.as_ref())),
        ),
        ("Link ends", time(link.map(|l| &l.expires_at))),
    ]
}

/// A request that is over without a loan.
pub fn not_granted(grant: &AccessGrant) -> Refusal {
    let name = grant.name_any();
    let message = because(format_args!("{name} was not granted"), grant);
    Refusal::new(message).next("see why", Action::Explain(name))
}

fn phase(grant: &AccessGrant) -> Option<Phase> {
    grant.status.as_ref()?.phase
}

fn cause(grant: &AccessGrant) -> Option<String> {
    let message = |type_: &str, status: &str| {
        let condition = condition(grant, type_)?;
        (condition.status == status).then(|| condition.message.clone())
    };
    let end = || {
        message(STALLED, "True")
            .or_else(|| message(ENDED, "True"))
            .or_else(|| message(ACCEPTED, "False"))
            .or_else(|| message(APPROVED, "False"))
            .or_else(|| message(ENDED, "False"))
    };
    let obstacle = || {
        let mut conditions = [ACCEPTED, APPROVED, ACTIVE]
            .iter()
            .filter_map(|type_| condition(grant, type_));
        let first = conditions.find(|condition| condition.status != "True");
        first.map(|condition| condition.message.clone())
    };
    let status = grant.status.as_ref().filter(|s| s.phase.is_some())?;
    let cause = match is_over(grant) {
        true => end(),
        false => status.waiting_for.clone().or_else(obstacle),
    };
    cause.filter(|cause| !cause.is_empty())
}
