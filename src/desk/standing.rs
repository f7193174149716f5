//! How a request or loan stands: where it is and why, in one line.

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{ACCEPTED, ACTIVE, APPROVED, AccessGrant, Condition, ENDED, Phase, STALLED, Time};
use crate::plan::conditions;

use super::terms;
use super::text::Fact;
use super::times::{lasts, when};

/// Whether a request has come to an end without a loan, or a loan to its own.
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

/// Where a request or loan is, and why.
pub fn where_it_is(grant: &AccessGrant) -> String {
    let Some(phase) = phase(grant) else {
        return "nobody has looked at it yet".into();
    };
    match why(grant) {
        None => format!("{phase:?}"),
        Some(why) => format!("{phase:?}: {why}"),
    }
}

/// The same for who reads the phase beside it, with the next time of a loan.
pub fn why_and_until_when(grant: &AccessGrant, now: Timestamp) -> String {
    let Some(status) = &grant.status else {
        return where_it_is(grant);
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
            residual.map(|t| format!("over; a link may open {}", lasts(t.0, now)))
        }
        _ => None,
    };
    timed.or_else(|| why(grant)).unwrap_or_default()
}

/// A loan that has begun.
pub fn begun(grant: &AccessGrant, now: Timestamp) -> [Fact; 3] {
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

/// A request that ended without a loan.
pub fn not_granted(grant: &AccessGrant) -> String {
    let name = grant.name_any();
    format!("{name} did not come to a loan. {}", where_it_is(grant))
}

fn phase(grant: &AccessGrant) -> Option<Phase> {
    grant.status.as_ref()?.phase
}

fn why(grant: &AccessGrant) -> Option<String> {
    let message = |type_: &str, status: &str| {
        let condition = condition(grant, type_)?;
        (condition.status == status).then(|| condition.message.clone())
    };
    let why_over = || {
        message(STALLED, "True")
            .or_else(|| message(ENDED, "True"))
            .or_else(|| message(ACCEPTED, "False"))
            .or_else(|| message(APPROVED, "False"))
            .or_else(|| message(ENDED, "False"))
    };
    let in_the_way = || {
        let mut conditions = [ACCEPTED, APPROVED, ACTIVE]
            .iter()
            .filter_map(|type_| condition(grant, type_));
        let first = conditions.find(|condition| condition.status != "True");
        first.map(|condition| condition.message.clone())
    };
    let status = grant.status.as_ref().filter(|s| s.phase.is_some())?;
    let why = match is_over(grant) {
        true => why_over(),
        false => status.waiting_for.clone().or_else(in_the_way),
    };
    why.filter(|why| !why.is_empty())
}
