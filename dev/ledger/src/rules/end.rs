//! The end of a loan: what it leaves open, and until when.

use jiff::{SignedDuration, Timestamp};

use super::loan::{CALL, Loan, SECOND, after, is_after};
use crate::finding::Rule;
use crate::objects::{End, Link, Outcome};

/// How long an operator may take to end a loan that is over.
pub const ENDED_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// Checks the end, or that it is not due.
pub fn check(loan: &mut Loan<'_>) {
    let open = |link: &&Link| link.outcome.is_none();
    let open: Vec<u32> = loan
        .links()
        .iter()
        .filter(open)
        .map(|l| l.sequence)
        .collect();
    let Some(end) = &loan.record.spec.end else {
        let last = loan.links().last().map(|link| link.sequence);
        if open.len() > 1 || (!open.is_empty() && open.last() != last.as_ref()) {
            let what = format!("the links {open:?} have no outcome, although another one follows");
            loan.find(Rule::NoOutcome, what);
        }
        return overdue(loan);
    };
    if !open.is_empty() {
        let what = format!(
            "the loan ended at {}, and the links {open:?} have no outcome",
            end.at
        );
        loan.find(Rule::NoOutcome, what);
    }
    for link in loan
        .links()
        .iter()
        .filter(|link| is_after(link.intent_at, end.at))
    {
        let what = format!(
            "link {} was begun at {}, and the loan ended at {}",
            link.sequence, link.intent_at, end.at
        );
        loan.find(Rule::AfterEnd, what);
    }
    residual(loan, end);
}

/// docs/glossary.md: the loan lasts at most for the duration in its terms.
fn overdue(loan: &mut Loan<'_>) {
    // A restored one ends when it is restored.
    let due = loan.due_end().filter(|_| !loan.record.is_restored());
    if let Some(due) = due.filter(|due| loan.limits.now > after(*due, ENDED_WITHIN)) {
        let what =
            format!("the loan was to end at {due}, and has no end; look whether an operator runs");
        loan.find(Rule::Overdue, what);
    }
}

/// docs/limits.md: the record always says until when a link that was handed out may open, and the
/// residual includes lost links.
fn residual(loan: &mut Loan<'_>, end: &End) {
    let latest = loan.links().iter().filter_map(may_open_until).max();
    let latest = latest.filter(|latest| *latest > end.at);
    let said = loan.record.spec.residual_until;
    let fits = match (latest, said) {
        (Some(latest), Some(said)) => latest.duration_since(said).abs() <= SECOND,
        (None, said) => said.is_none_or(|said| said <= end.at),
        (Some(_), None) => false,
    };
    if !fits {
        let told = |time: Option<Timestamp>| time.map_or("nothing".to_owned(), |t| t.to_string());
        let what = format!(
            "residualUntil says {}, but by its links it is {}",
            told(said),
            told(latest)
        );
        loan.find(Rule::Residual, what);
    }
}

/// The time until which a link may open. The intent of an issued link also covers how far
/// 1Password's clock is ahead, but no longer a call.
fn may_open_until(link: &Link) -> Option<Timestamp> {
    match link.outcome {
        Some(Outcome::Refused) => None,
        Some(Outcome::Issued) => {
            let known = link.expires_at.unwrap_or(link.latest_end);
            Some(known.max(after(link.latest_end, -CALL)))
        }
        Some(Outcome::Lost) | None => Some(link.latest_end),
    }
}
