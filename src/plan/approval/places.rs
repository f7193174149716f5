//! Assigns approvals to groups. Each person counts for one group only, and the assignment fills as
//! many places as possible.

use crate::api::AgreedGroup;

/// For each approval the index of the group that it counts for, if any, and for each group the
/// number of missing approvals.
pub(super) type Places = (Vec<Option<usize>>, Vec<u32>);

/// All groups have to approve. `groups_of` lists for each approval, oldest first, the groups for
/// which it could count.
pub(super) fn all_groups(groups: &[AgreedGroup], groups_of: &[Vec<usize>]) -> Places {
    let mut assigned = vec![None; groups_of.len()];
    for newcomer in 0..groups_of.len() {
        let mut tried = vec![false; groups.len()];
        seat(newcomer, groups, groups_of, &mut assigned, &mut tried);
    }
    let missing = missing(groups, |group| {
        assigned.iter().filter(|a| **a == Some(group)).count()
    });
    (assigned, missing)
}

/// Any one group has to approve. If one has, its members' approvals count; until then, each
/// approval counts for the first of its groups.
pub(super) fn any_group(groups: &[AgreedGroup], groups_of: &[Vec<usize>]) -> Places {
    let missing = missing(groups, |group| {
        groups_of.iter().filter(|of| of.contains(&group)).count()
    });
    let complete = missing.iter().position(|left| *left == 0);
    let place = |of: &Vec<usize>| match complete {
        Some(complete) => of.contains(&complete).then_some(complete),
        None => of.first().copied(),
    };
    (groups_of.iter().map(place).collect(), missing)
}

/// The groups in which one more approval may fill a place of this group: the group itself, and
/// groups that hold an approval which this group could take over.
pub(super) fn that_help(
    group: usize,
    groups_of: &[Vec<usize>],
    assigned: &[Option<usize>],
) -> Vec<usize> {
    let mut helping = vec![group];
    let mut looked_at = 0;
    while let Some(&short) = helping.get(looked_at) {
        looked_at += 1;
        for (of, seat) in groups_of.iter().zip(assigned) {
            match seat {
                Some(seat) if of.contains(&short) && !helping.contains(seat) => helping.push(*seat),
                _ => {}
            }
        }
    }
    helping
}

/// Finds a place for one approval, if necessary by moving others to another of their groups.
fn seat(
    who: usize,
    groups: &[AgreedGroup],
    groups_of: &[Vec<usize>],
    assigned: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for &group in &groups_of[who] {
        if std::mem::replace(&mut tried[group], true) {
            continue;
        }
        let seated: Vec<_> = (0..assigned.len())
            .filter(|other| assigned[*other] == Some(group))
            .collect();
        let free = seated.len() < groups[group].required as usize;
        let moved = free
            || seated
                .into_iter()
                .any(|other| seat(other, groups, groups_of, assigned, tried));
        if moved {
            assigned[who] = Some(group);
            return true;
        }
    }
    false
}

fn missing(groups: &[AgreedGroup], filled: impl Fn(usize) -> usize) -> Vec<u32> {
    let each = groups.iter().enumerate().map(|(index, group)| {
        let filled = u32::try_from(filled(index)).unwrap_or(u32::MAX);
        group.required.saturating_sub(filled)
    });
    each.collect()
}
