//! The one sentence that says who can still decide, and what is missing.

use jiff::Timestamp;

use crate::api::{AgreedGroup, AgreedPerson, ApprovalMode, PersonKind};

/// How many people of a group a sentence names.
const NAMED: usize = 5;

/// What is missing of each group, in one sentence.
pub(super) fn sentence(
    mode: ApprovalMode,
    groups: &[AgreedGroup],
    missing: &[u32],
    until: Timestamp,
) -> String {
    let parts: Vec<_> = groups
        .iter()
        .zip(missing)
        .filter(|(_, missing)| **missing > 0)
        .map(|(group, missing)| part(group, *missing))
        .collect();
    let between = if mode == ApprovalMode::AnyOf {
        ", or "
    } else {
        ", and "
    };
    format!("{} until {until:.0}", parts.join(between))
}

fn part(group: &AgreedGroup, missing: u32) -> String {
    let more = if missing < group.required {
        " more"
    } else {
        ""
    };
    let approvals = if missing == 1 {
        "approval"
    } else {
        "approvals"
    };
    format!(
        "{missing}{more} {approvals} of {:?} ({})",
        group.name,
        names(&group.approvers)
    )
}

fn names(people: &[AgreedPerson]) -> String {
    let shown: Vec<_> = people.iter().take(NAMED).map(name).collect();
    match people.len() {
        0..=NAMED => shown.join(" or "),
        all => format!("{} or {} others", shown.join(", "), all - NAMED),
    }
}

fn name(person: &AgreedPerson) -> String {
    match person.kind {
        PersonKind::User => person.name.clone(),
        PersonKind::Group => format!("anyone in {}", person.name),
    }
}
