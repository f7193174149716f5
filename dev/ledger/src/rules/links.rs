//! The links of one record: their numbers, times and lifetimes.

use jiff::SignedDuration;

use super::loan::{CALL, Loan, SECOND, after, is_after};
use crate::finding::Rule;
use crate::objects::{Link, Outcome};

/// The lifetimes of 1Password's links, in hours; it knows no others: docs/limits.md.
const LIFETIMES: [i64; 5] = [1, 24, 7 * 24, 14 * 24, 30 * 24];

/// The least time between the beginnings of two links. docs/limits.md: each link may open until
/// its own end, so nobody gets many.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// How many links in a row may be lost: docs/reasons.md, `LinksLost`.
const MOST_LOST: usize = 3;

/// How long writing the intent may take after the decision about it.
const WRITING: SignedDuration = SignedDuration::from_secs(5);

/// Checks all of them.
pub fn check(loan: &mut Loan<'_>) {
    sequence(loan);
    for link in loan.links() {
        times(loan, link);
        lifetime(loan, link);
        outlives(loan, link);
    }
    renewals(loan);
    let mut lost = loan.links().iter().map(|link| link.outcome);
    let lost = lost.position(|outcome| !matches!(outcome, Some(Outcome::Lost) | None));
    let lost = lost.unwrap_or(loan.links().len());
    if lost > MOST_LOST {
        let what = format!("the first {lost} links were lost, one after the other");
        loan.find(Rule::TooManyLost, what);
    }
}

/// The API numbers the links of a loan from 1.
fn sequence(loan: &mut Loan<'_>) {
    for (place, link) in (1_u32..).zip(loan.links()) {
        if link.sequence != place {
            let what = format!("the link in place {place} has the number {}", link.sequence);
            loan.find(Rule::Sequence, what);
            return;
        }
    }
}

fn times(loan: &mut Loan<'_>, link: &Link) {
    let number = link.sequence;
    if link.latest_end <= link.intent_at {
        let what = format!("link {number} ends before it begins");
        loan.find(Rule::LinkTimes, what);
    }
    if link.outcome != Some(Outcome::Issued) {
        return;
    }
    let (Some(issued), Some(expires)) = (link.issued_at, link.expires_at) else {
        let what =
            format!("link {number} was issued, but the record does not say when and until when");
        return loan.find(Rule::LinkTimes, what);
    };
    if issued < link.intent_at || is_after(issued, after(link.intent_at, CALL)) {
        let what = format!(
            "link {number} was issued at {issued}, which is not within a minute of its intent at {}",
            link.intent_at
        );
        loan.find(Rule::LinkTimes, what);
    }
    if is_after(expires, link.latest_end) {
        let what = format!(
            "link {number} opens until {expires}, but its latest end is {}",
            link.latest_end
        );
        loan.find(Rule::LinkTimes, what);
    }
}

/// docs/limits.md: a link lives for one of five times, and no longer than the flow allows.
fn lifetime(loan: &mut Loan<'_>, link: &Link) {
    let (number, longest) = (link.sequence, loan.longest_life());
    if let (Some(issued), Some(expires)) = (link.issued_at, link.expires_at) {
        let life = expires.duration_since(issued);
        let is_known = LIFETIMES.contains(&(life.as_secs() / 3600)) && life.as_secs() % 3600 == 0;
        if !is_known || life > longest {
            let what = format!("link {number} opens for {life:#}, and the terms allow {longest:#}");
            loan.find(Rule::Lifetime, what);
        }
    }
    let reserved = CALL + SECOND + loan.limits.clock_ahead;
    let most = link.latest_end.duration_since(link.intent_at) - reserved;
    if most > longest && !may_be_late(link) {
        let what = format!(
            "link {number} may open until {}, longer than the {longest:#} of the terms",
            link.latest_end
        );
        loan.find(Rule::Lifetime, what);
    }
}

/// ARCHITECTURE.md, invariant 4. The first link starts the loan, so the time that its intent
/// reserves for the call may be after the end of the loan. The recorded end never is.
fn outlives(loan: &mut Loan<'_>, link: &Link) {
    let Some(due) = loan.due_end() else {
        return;
    };
    let first = loan.issued().next().map_or(0, |first| first.sequence);
    let reserved = match link.sequence <= first {
        true => CALL,
        false => WRITING,
    };
    let latest = after(due, reserved + loan.limits.clock_ahead);
    let too_late = link.expires_at.is_some_and(|end| is_after(end, due));
    let is_late = link.outcome != Some(Outcome::Refused) && is_after(link.latest_end, latest);
    if too_late || (is_late && !may_be_late(link)) {
        let what = format!(
            "link {} may open until {}, but the loan ends at {due}",
            link.sequence,
            link.expires_at.unwrap_or(link.latest_end)
        );
        loan.find(Rule::OutlivesLoan, what);
    }
}

/// docs/limits.md: a link also counts as lost if 1Password's answer comes too late, for example
/// because the operator's machine slept. Then it may open for longer than was agreed, but nobody
/// has its key.
fn may_be_late(link: &Link) -> bool {
    link.outcome == Some(Outcome::Lost)
}

fn renewals(loan: &mut Loan<'_>) {
    let terms = &loan.record.spec.terms;
    let issued: Vec<_> = loan.issued().collect();
    if issued.len() > 1 && (terms.view_once || terms.renewal != "OnRequest") {
        let what = format!(
            "{} links were issued, and the terms allow one",
            issued.len()
        );
        loan.find(Rule::OneLinkOnly, what);
    }
    if issued
        .windows(2)
        .any(|two| two[0].item_version != two[1].item_version)
    {
        loan.find(
            Rule::ItemVersion,
            "its links show different versions of the item",
        );
    }
    for link in loan.links() {
        let before = issued.iter().rev().find(|i| i.sequence < link.sequence);
        let Some(before) = before else { continue };
        if link.intent_at < after(before.intent_at, APART - SECOND) {
            let what = format!(
                "link {} was begun at {}, less than a minute after link {}",
                link.sequence, link.intent_at, before.sequence
            );
            loan.find(Rule::TooSoon, what);
        }
    }
}
