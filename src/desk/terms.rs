//! A request and its terms, as people read them before they decide.

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{AccessGrant, AgreedApproval, AgreedGroup, ApprovalMode, Decision, Span};
use crate::plan::approval::name_of;
use crate::plan::delivery::Delivery;

use super::text::{Fact, Text, facts};
use super::times::when;

/// The request and, once they are known, its terms.
pub fn shown(grant: &AccessGrant, now: Timestamp) -> Text {
    let said = asked(grant, now).into_iter().chain(agreed(grant));
    facts(said)
}

fn asked(grant: &AccessGrant, now: Timestamp) -> Vec<Fact> {
    let spec = &grant.spec;
    let namespace = grant.namespace().unwrap_or_default();
    let made = grant.creation_timestamp();
    let by = spec.requester.as_ref();
    vec![
        ("Request", format!("{} in {namespace}", grant.name_any())),
        ("Created", made.map_or_else(String::new, |t| when(t.0, now))),
        (
            "Requester",
            by.map_or_else(String::new, |who| {
                let groups: Vec<_> = who.groups.iter().map(|g| g.0.as_str()).collect();
                match groups.is_empty() {
                    true => who.username.clone(),
                    false => format!("{} ({})", who.username, groups.join(", ")),
                }
            }),
        ),
        (
            "Justification",
            spec.justification.clone().unwrap_or_default(),
        ),
        ("Item", item(grant)),
        ("Integration", {
            let from = spec.integration.namespace.as_ref().unwrap_or(&namespace);
            format!("{} in {from}", spec.integration.name.0)
        }),
        ("Asked before", asked_before(grant, now)),
        (
            "Not after",
            spec.not_after
                .as_ref()
                .map_or_else(String::new, |t| when(t.0, now)),
        ),
    ]
}

fn agreed(grant: &AccessGrant) -> Vec<Fact> {
    let status = grant.status.as_ref();
    let Some(terms) = status.and_then(|s| s.terms.as_ref()) else {
        let spec = &grant.spec;
        let asked = |name, what: Option<String>| (name, what.unwrap_or_default());
        return vec![
            asked("Duration", spec.duration.as_ref().map(|d| d.0.clone())),
            asked("Recipients", spec.recipients.as_ref().map(|r| listed(r))),
        ];
    };
    vec![
        ("Flow", terms.flow.name.clone()),
        ("Duration", duration(grant, &terms.duration)),
        ("Recipients", listed(&terms.recipients)),
        Delivery::of(terms).described(terms),
        ("Owner", terms.resource_owner.clone().unwrap_or_default()),
        (
            "Approval",
            terms.approval.as_ref().map_or_else(String::new, needs),
        ),
        (
            "Waiting for",
            status
                .and_then(|s| s.waiting_for.clone())
                .unwrap_or_default(),
        ),
    ]
}

/// The outcomes of earlier requests of the same person for the same item.
fn asked_before(grant: &AccessGrant, now: Timestamp) -> String {
    let earlier = grant.status.iter().flat_map(|s| &s.earlier_denials);
    let told = earlier.map(|denial| format!("{:?} {}", denial.outcome, when(denial.at.0, now)));
    told.collect::<Vec<_>>().join(", ")
}

/// The agreed duration, or the shorter one of an approver.
fn duration(grant: &AccessGrant, agreed: &Span) -> String {
    let decisions = grant.status.iter().flat_map(|s| &s.decisions);
    let shortest = decisions
        .filter(|d| d.decision == Decision::Approve)
        .filter_map(|d| d.max_duration.as_ref())
        .filter(|most| most.parse() < agreed.parse())
        .min_by_key(|most| most.parse());
    match shortest {
        Some(most) => format!("{most}, shortened from {agreed} by an approver"),
        None => agreed.0.clone(),
    }
}

/// The item's title and its vault's.
pub fn item(grant: &AccessGrant) -> String {
    let terms = grant.status.as_ref().and_then(|s| s.terms.as_ref());
    let (item, vault) = match terms {
        Some(terms) => (&terms.item.title, &terms.vault.title),
        None => (&grant.spec.item.item.0, &grant.spec.item.vault.0),
    };
    format!("{item} (vault {vault})")
}

/// The access details, which may have several lines.
pub fn access(details: Option<&str>) -> Vec<Fact> {
    let lines = details.iter().flat_map(|details| details.lines());
    let facts = lines.enumerate().map(|(number, line)| match number {
        0 => ("Access", line.to_owned()),
        _ => ("", line.to_owned()),
    });
    facts.collect()
}

/// The required approvals in one sentence.
fn needs(approval: &AgreedApproval) -> String {
    let groups: Vec<_> = approval.groups.iter().map(needed).collect();
    let joined = match approval.mode {
        ApprovalMode::AnyOf => groups.join(", or "),
        ApprovalMode::AllOf | ApprovalMode::None => groups.join(", and "),
    };
    format!("{joined}, within {}", approval.timeout)
}

fn needed(group: &AgreedGroup) -> String {
    let who: Vec<_> = group.approvers.iter().map(name_of).collect();
    format!(
        "{} from group {:?} ({})",
        group.required,
        group.name,
        who.join(" or ")
    )
}

fn listed<T: ToString>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_details_keep_their_lines() {
        let lines = access(Some("ssh bastion\npsql -h db"));
        let kept = [("Access", "ssh bastion".into()), ("", "psql -h db".into())];
        assert_eq!(lines, kept);
    }
}
