//! Approvals and refusals: what a loan needs before its links, and what forbids them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::loan::{Loan, SECOND, after, is_after};
use crate::finding::Rule;
use crate::objects::{Approval, Decision};

/// A decision takes a moment from the API server to the operator. A link that is begun meanwhile
/// ends with its loan.
const SEEN_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// Checks the decisions against the links.
pub fn check(loan: &mut Loan<'_>) {
    unlent(loan);
    let spec = &loan.record.spec;
    let seen_within = SEEN_WITHIN + loan.limits.api_behind;
    for link in &spec.links {
        let begun = link.intent_at;
        let missing = spec
            .terms
            .approval
            .as_ref()
            .and_then(|asked| missing(loan, asked, begun));
        if let Some(missing) = missing {
            let what = format!(
                "link {} was begun at {begun} without {missing}",
                link.sequence
            );
            loan.find(Rule::Unapproved, what);
        }
        let refused = spec.decisions.iter().find(|decision| {
            decision.decision != "Approve" && is_after(begun, after(decision.at, seen_within))
        });
        if let Some(refused) = refused {
            let what = format!(
                "link {} was begun at {begun}, after the decision {} at {}",
                link.sequence, refused.decision, refused.at
            );
            loan.find(Rule::AfterRefusal, what);
        }
    }
}

/// docs/approval.md, "Denied means denied".
fn unlent(loan: &mut Loan<'_>) {
    const OUTCOMES: [&str; 4] = ["Denied", "TakenBack", "Lapsed", "Failed"];
    let spec = &loan.record.spec;
    let outcome = spec.outcome.as_deref().filter(|outcome| *outcome != "Lent");
    let end = spec.end.as_ref().map(|end| end.reason.as_str());
    let end = end.filter(|end| OUTCOMES.contains(end));
    if outcome.is_some() && !spec.links.is_empty() {
        loan.find(
            Rule::UnlentHasNoLinks,
            "the request was not granted, and has links",
        );
    }
    if outcome != end {
        let what = "the outcome and the end do not agree about what became of the request";
        loan.find(Rule::UnlentHasNoLinks, what);
    }
}

/// The first group whose approvals were missing at this time, if too few groups had approved.
/// docs/approval.md: everybody counts once and for one group, and neither the requester nor a
/// recipient counts.
fn missing(loan: &Loan<'_>, asked: &Approval, at: Timestamp) -> Option<String> {
    let spec = &loan.record.spec;
    let counts = |decision: &&Decision| {
        let is_own = decision.user == spec.requester.username
            || spec.terms.recipients.contains(&decision.user);
        decision.decision == "Approve" && decision.at <= after(at, SECOND) && !is_own
    };
    let lacking = asked.groups.iter().filter_map(|group| {
        let of_group = spec
            .decisions
            .iter()
            .filter(counts)
            .filter(|decision| decision.group.as_ref() == Some(&group.name));
        let people: BTreeSet<_> = of_group.map(|decision| &decision.user).collect();
        let missing = group
            .required
            .checked_sub(people.len())
            .filter(|n| *n > 0)?;
        Some(format!("{missing} approval from the group {}", group.name))
    });
    let lacking: Vec<_> = lacking.collect();
    let enough = match asked.mode.as_str() {
        "AnyOf" => lacking.len() < asked.groups.len(),
        _ => lacking.is_empty(),
    };
    lacking.into_iter().next().filter(|_| !enough)
}
