//! The sentence that names the missing approvals and the people who can still give them.

use jiff::Timestamp;

use crate::api::{AgreedApproval, AgreedGroup, AgreedPerson, ApprovalMode, PersonKind};

/// The number of a group's people that a sentence names.
const NAMED: usize = 5;

/// The missing approvals of each group, in one sentence. `left` returns, for the index of a group,
/// the named people who can still give them.
pub(super) fn sentence<'a>(
    approval: &AgreedApproval,
    missing: &[u32],
    left: impl Fn(usize) -> Vec<&'a AgreedPerson>,
    until: Timestamp,
) -> String {
    let parts: Vec<_> = approval
        .groups
        .iter()
        .zip(missing)
        .enumerate()
        .filter(|(_, (_, missing))| **missing > 0)
        .map(|(index, (group, missing))| part(group, *missing, &left(index)))
        .collect();
    let between = if approval.mode == ApprovalMode::AnyOf {
        ", or "
    } else {
        ", and "
    };
    format!("{}, due {until:.0}", parts.join(between))
}

fn part(group: &AgreedGroup, missing: u32, left: &[&AgreedPerson]) -> String {
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
    let who = match left.is_empty() {
        true => "no eligible approver remains".into(),
        false => names(left),
    };
    format!(
        "{missing}{more} {approvals} from group {:?} ({who})",
        group.name
    )
}

fn names(people: &[&AgreedPerson]) -> String {
    let shown: Vec<_> = people.iter().take(NAMED).map(|p| name(p)).collect();
    match people.len() {
        0..=NAMED => shown.join(" or "),
        all => format!("{} or {} others", shown.join(", "), all - NAMED),
    }
}

fn name(person: &AgreedPerson) -> String {
    match person.kind {
        PersonKind::User => person.name.clone(),
        PersonKind::Group => format!("any member of {}", person.name),
    }
}
