//! From a flow's rules to the required approvals, with owners resolved to people.

use crate::api::{
    AccessFlow, AgreedApproval, AgreedGroup, AgreedPerson, ApprovalMode, Approver, ApproverKind,
    Identity, OnePasswordIntegration, Person, PersonKind, Terms,
};
use crate::plan::people::same_person;

use super::people::{Parties, one_person};

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
    let groups = rule.groups.iter().map(|group| {
        let mut approvers: Vec<_> = group
            .approvers
            .iter()
            .flat_map(|approver| resolve(approver, integration, resource_owner))
            .collect();
        approvers.sort();
        approvers.dedup();
        AgreedGroup {
            name: group.name.clone(),
            required: group.required,
            approvers,
        }
    });
    Some(AgreedApproval {
        mode: rule.mode,
        groups: groups.collect(),
        timeout: rule.timeout.clone(),
        reason: rule.reason,
        without_address: rule.without_address,
    })
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

/// The reason why these terms can never be approved, if so: too few people are eligible, whatever
/// the members of the groups.
pub fn shortfall(terms: &Terms, requester: &Identity, blocked: &[Person]) -> Option<String> {
    let approval = terms.approval.as_ref()?;
    let parties = Parties {
        requester,
        recipients: &terms.recipients,
        blocked,
    };
    if approval.groups.is_empty() {
        return Some("the flow requires approval but names no approvers".into());
    }
    let short = |group: &&AgreedGroup| enough_people(group, parties).is_err();
    let hopeless = match approval.mode {
        ApprovalMode::AnyOf if approval.groups.iter().any(|g| !short(&g)) => None,
        _ => approval.groups.iter().find(short),
    };
    let group = hopeless?;
    let able = enough_people(group, parties).err()?;
    Some(format!(
        "too few people can approve for group {:?}: {} required, {able} eligible; the requester, \
         recipients and blocked people are not eligible",
        group.name, group.required
    ))
}

/// Whether a group has enough eligible people; if not, how many it has. A person who is named twice
/// counts once.
fn enough_people(group: &AgreedGroup, parties: Parties<'_>) -> Result<(), usize> {
    if group.approvers.iter().any(|a| a.kind == PersonKind::Group) {
        return Ok(());
    }
    let able = group.approvers.iter().filter(|a| parties.leave(a));
    let mut people: Vec<Identity> = Vec::new();
    for person in able.filter_map(one_person) {
        if !people.iter().any(|other| same_person(other, &person)) {
            people.push(person);
        }
    }
    if people.len() >= group.required as usize {
        Ok(())
    } else {
        Err(people.len())
    }
}
