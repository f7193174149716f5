//! The approvals in the terms of a loan: those that a flow's rules require, with owners resolved to
//! people, and the duration that the given ones leave.

use jiff::SignedDuration;

use crate::api::{
    AccessFlow, AgreedApproval, AgreedGroup, AgreedPerson, ApprovalMode, Approver, ApproverKind,
    CountedDecision, Decision, OnePasswordIntegration, Person, PersonKind, Terms,
};

impl AgreedPerson {
    /// A person or group in the rules, in the form that the terms keep.
    pub fn of(person: &Person) -> Self {
        Self {
            kind: person.kind,
            name: person.name.clone(),
        }
    }
}

/// The approvals that a request through this flow requires; `None` if none.
pub fn agreed(
    flow: &AccessFlow,
    integration: &OnePasswordIntegration,
    resource_owner: Option<&str>,
) -> Option<AgreedApproval> {
    let rule = &flow.spec.approval;
    if rule.mode == ApprovalMode::None {
        return None;
    }
    let groups = rule.groups.iter().map(|group| AgreedGroup {
        name: group.name.clone(),
        required: group.required,
        approvers: people(&group.approvers, integration, resource_owner),
    });
    Some(AgreedApproval {
        mode: rule.mode,
        groups: groups.collect(),
        timeout: rule.timeout.clone(),
        reason: rule.reason,
        without_address: rule.without_address,
    })
}

/// The people and groups that the rules name, each once.
fn people(
    approvers: &[Approver],
    integration: &OnePasswordIntegration,
    resource_owner: Option<&str>,
) -> Vec<AgreedPerson> {
    let mut people: Vec<_> = approvers
        .iter()
        .flat_map(|approver| resolve(approver, integration, resource_owner))
        .collect();
    people.sort();
    people.dedup();
    people
}

fn resolve(
    approver: &Approver,
    integration: &OnePasswordIntegration,
    resource_owner: Option<&str>,
) -> Vec<AgreedPerson> {
    let named = |kind| {
        let name = approver.name.clone();
        name.map(|name| AgreedPerson { kind, name })
            .into_iter()
            .collect()
    };
    let owners = || {
        integration
            .spec
            .owners
            .iter()
            .map(AgreedPerson::of)
            .collect()
    };
    match approver.kind {
        ApproverKind::User => named(PersonKind::User),
        ApproverKind::Group => named(PersonKind::Group),
        ApproverKind::IntegrationOwner => owners(),
        // If the tag is missing, unknown or ambiguous, it names nobody, and the integration's
        // owners decide.
        ApproverKind::ResourceOwner => match (resource_owner, &integration.spec.resource_owner) {
            (Some(name), Some(rule)) => vec![AgreedPerson {
                kind: rule.kind,
                name: name.to_owned(),
            }],
            _ => owners(),
        },
    }
}

/// The duration of the loan: the agreed one, or the shortest one that an approval allows.
pub fn duration(terms: &Terms, decisions: &[CountedDecision]) -> SignedDuration {
    let shortened = decisions
        .iter()
        .filter(|d| d.decision == Decision::Approve)
        .filter_map(|d| d.max_duration.as_ref()?.parse());
    let agreed = terms.duration.parse();
    // An unreadable duration counts as the shortest loan.
    let agreed = agreed.unwrap_or(SignedDuration::from_hours(1));
    shortened.fold(agreed, SignedDuration::min)
}
