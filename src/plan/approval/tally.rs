//! The result of the approvals: the group that each counts for, and the missing ones, with the
//! people who can still give them.

use jiff::Timestamp;

use crate::api::{AgreedPerson, CountedDecision, Identity, IgnoredDecision};

use super::approvers::{Approvers, Group, name_of};

/// All required approvals have been given.
pub(super) const NOT_NEEDED: &str = "the approver's groups already have all the approvals that \
     they need";

/// The number of a group's people that a sentence names.
const NAMED: usize = 5;

/// An approval, and the groups for which it could count.
pub(super) struct Approval {
    pub(super) name: String,
    pub(super) by: Identity,
    pub(super) counted: CountedDecision,
    pub(super) groups: Vec<usize>,
}

/// The result of the approvals. Each person counts for one group only, and the assignment fills as
/// many places as possible.
pub(super) struct Tally<'a> {
    approvers: &'a Approvers<'a>,
    groups: Vec<Group<'a>>,
    /// Oldest first.
    approvals: Vec<Approval>,
    /// For each approval the group that it counts for, if any.
    assigned: Vec<Option<usize>>,
    /// The number of approvals that each group lacks.
    missing: Vec<u32>,
}

impl<'a> Tally<'a> {
    /// The result of these approvals, the oldest first.
    pub(super) fn of(approvers: &'a Approvers<'a>, approvals: Vec<Approval>) -> Self {
        let mut tally = Self {
            approvers,
            groups: approvers.groups(),
            assigned: vec![None; approvals.len()],
            approvals,
            missing: Vec::new(),
        };
        match approvers.any_group_is_enough() {
            true => tally.fill_any_group(),
            false => tally.fill_all_groups(),
        }
        tally
    }

    /// The time at which the approvals became sufficient, if they are.
    pub(super) fn complete_since(&self) -> Option<Timestamp> {
        let complete = match self.approvers.any_group_is_enough() {
            true => self.missing.contains(&0),
            false => self.missing.iter().all(|left| *left == 0),
        };
        let assigned = self.approvals.iter().zip(&self.assigned);
        let counted = assigned.filter(|(_, group)| group.is_some());
        let last = counted.map(|(approval, _)| approval.counted.at.0).max();
        last.filter(|_| complete)
    }

    /// The missing approvals of each group and the people who can still give them, in one sentence.
    pub(super) fn waiting(&self) -> String {
        let groups = self.groups.iter().zip(&self.missing).enumerate();
        let lacking = groups.filter(|(_, (_, missing))| **missing > 0);
        let parts: Vec<_> = lacking
            .map(|(index, (group, missing))| lacks(group, *missing, &self.left(index)))
            .collect();
        let between = match self.approvers.any_group_is_enough() {
            true => ", or ",
            false => ", and ",
        };
        format!("{}, due {:.0}", parts.join(between), self.approvers.due())
    }

    /// The approvals that count, and those that no group needs.
    pub(super) fn told(self) -> (Vec<CountedDecision>, Vec<IgnoredDecision>) {
        let (mut counted, mut surplus) = (Vec::new(), Vec::new());
        for (given, group) in self.approvals.into_iter().zip(&self.assigned) {
            match group.and_then(|index| self.groups.get(index)) {
                Some(group) => counted.push(CountedDecision {
                    group: Some(group.name.to_owned()),
                    ..given.counted
                }),
                None => surplus.push(IgnoredDecision {
                    uid: given.counted.uid,
                    decision: Some(given.counted.decision),
                    name: given.name,
                    user: given.counted.user,
                    reason: NOT_NEEDED.into(),
                }),
            }
        }
        (counted, surplus)
    }

    /// Any one group has to approve. If one has, its members' approvals count; until then, each
    /// approval counts for the first of its groups.
    fn fill_any_group(&mut self) {
        let of = |group| {
            let approvals = self.approvals.iter();
            approvals.filter(|a| a.groups.contains(&group)).count()
        };
        self.missing = missing(&self.groups, of);
        let complete = self.missing.iter().position(|left| *left == 0);
        let place = |approval: &Approval| match complete {
            Some(complete) => approval.groups.contains(&complete).then_some(complete),
            None => approval.groups.first().copied(),
        };
        self.assigned = self.approvals.iter().map(place).collect();
    }

    /// All groups have to approve.
    fn fill_all_groups(&mut self) {
        for newcomer in 0..self.approvals.len() {
            self.assign(newcomer, &mut vec![false; self.groups.len()]);
        }
        let of = |group| {
            let assigned = self.assigned.iter();
            assigned.filter(|a| **a == Some(group)).count()
        };
        self.missing = missing(&self.groups, of);
    }

    /// Finds a place for one approval, if necessary by moving others to another of their groups.
    fn assign(&mut self, newcomer: usize, tried: &mut [bool]) -> bool {
        for group in self.approvals[newcomer].groups.clone() {
            if std::mem::replace(&mut tried[group], true) {
                continue;
            }
            let holders: Vec<_> = (0..self.assigned.len())
                .filter(|other| self.assigned[*other] == Some(group))
                .collect();
            let free = holders.len() < self.groups[group].required as usize;
            if free || holders.into_iter().any(|other| self.assign(other, tried)) {
                self.assigned[newcomer] = Some(group);
                return true;
            }
        }
        false
    }

    /// The people who can still give a group's missing approvals.
    fn left(&self, group: usize) -> Vec<&'a AgreedPerson> {
        let helping = match self.approvers.any_group_is_enough() {
            true => vec![group],
            false => self.that_help(group),
        };
        let approved: Vec<_> = self.approvals.iter().map(|a| &a.by).collect();
        self.approvers.left(&helping, &approved)
    }

    /// The groups in which one more approval may fill a place of this group: the group itself, and
    /// groups that hold an approval which this group could take over.
    fn that_help(&self, group: usize) -> Vec<usize> {
        let mut helping = vec![group];
        let mut looked_at = 0;
        while let Some(&short) = helping.get(looked_at) {
            looked_at += 1;
            for (approval, holder) in self.approvals.iter().zip(&self.assigned) {
                match holder {
                    Some(holder)
                        if approval.groups.contains(&short) && !helping.contains(holder) =>
                    {
                        helping.push(*holder);
                    }
                    _ => {}
                }
            }
        }
        helping
    }
}

fn missing(groups: &[Group<'_>], filled: impl Fn(usize) -> usize) -> Vec<u32> {
    let each = groups.iter().enumerate().map(|(index, group)| {
        let filled = u32::try_from(filled(index)).unwrap_or(u32::MAX);
        group.required.saturating_sub(filled)
    });
    each.collect()
}

fn lacks(group: &Group<'_>, missing: u32, left: &[&AgreedPerson]) -> String {
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
    let shown: Vec<_> = people.iter().take(NAMED).map(|p| name_of(p)).collect();
    match people.len() {
        0..=NAMED => shown.join(" or "),
        all => format!("{} or {} others", shown.join(", "), all - NAMED),
    }
}
