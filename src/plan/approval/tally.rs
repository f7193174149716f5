//! The result of the approvals: the group that each counts for, the missing ones, and the people
//! who can still give them.

use jiff::Timestamp;

use crate::api::{
    AgreedApproval, AgreedPerson, ApprovalMode, CountedDecision, Identity, IgnoredDecision,
};
use crate::plan::people::same_person;

use super::people::{Parties, one_person};
use super::places;

/// All required approvals have been given.
pub(super) const NOT_NEEDED: &str = "the approver's groups already have all the approvals that \
     they need";

/// An approval, and the groups for which it could count.
pub(super) struct Approval {
    pub(super) name: String,
    pub(super) by: Identity,
    pub(super) counted: CountedDecision,
    pub(super) groups: Vec<usize>,
}

/// The result of the approvals: the group that each counts for, and the missing ones.
pub(super) struct Tally {
    mode: ApprovalMode,
    groups_of: Vec<Vec<usize>>,
    assigned: Vec<Option<usize>>,
    /// The number of approvals that each group lacks.
    pub(super) missing: Vec<u32>,
}

impl Tally {
    pub(super) fn of(approval: &AgreedApproval, approvals: &[Approval]) -> Self {
        let groups_of: Vec<_> = approvals.iter().map(|a| a.groups.clone()).collect();
        let (assigned, missing) = match approval.mode {
            ApprovalMode::AnyOf => places::any_group(&approval.groups, &groups_of),
            ApprovalMode::AllOf | ApprovalMode::None => {
                places::all_groups(&approval.groups, &groups_of)
            }
        };
        Self {
            mode: approval.mode,
            groups_of,
            assigned,
            missing,
        }
    }

    /// The time at which the approvals became sufficient, if they are.
    pub(super) fn complete_since(&self, approvals: &[Approval]) -> Option<Timestamp> {
        let complete = match self.mode {
            ApprovalMode::AnyOf => self.missing.contains(&0),
            ApprovalMode::AllOf | ApprovalMode::None => self.missing.iter().all(|left| *left == 0),
        };
        let seated = approvals.iter().zip(&self.assigned);
        let counted = seated.filter(|(_, group)| group.is_some());
        let last = counted.map(|(approval, _)| approval.counted.at.0).max();
        last.filter(|_| complete)
    }

    /// The named people and groups that can still give a group's missing approvals: without the
    /// requester, recipients, blocked people and those who have approved already.
    pub(super) fn left<'a>(
        &self,
        group: usize,
        parties: Parties<'_>,
        approval: &'a AgreedApproval,
        approvals: &[Approval],
    ) -> Vec<&'a AgreedPerson> {
        let helping = match self.mode {
            ApprovalMode::AnyOf => vec![group],
            ApprovalMode::AllOf | ApprovalMode::None => {
                places::that_help(group, &self.groups_of, &self.assigned)
            }
        };
        let has_approved = |named: &AgreedPerson| {
            one_person(named)
                .is_some_and(|person| approvals.iter().any(|a| same_person(&a.by, &person)))
        };
        let named = helping
            .into_iter()
            .filter_map(|group| approval.groups.get(group))
            .flat_map(|group| &group.approvers);
        let mut left: Vec<&AgreedPerson> = Vec::new();
        for person in named {
            let can = parties.leave(person) && !has_approved(person);
            if can && !left.contains(&person) {
                left.push(person);
            }
        }
        left
    }

    /// The approvals that count, and those that no group needs.
    pub(super) fn told(
        &self,
        approval: &AgreedApproval,
        approvals: Vec<Approval>,
    ) -> (Vec<CountedDecision>, Vec<IgnoredDecision>) {
        let (mut counted, mut surplus) = (Vec::new(), Vec::new());
        for (given, group) in approvals.into_iter().zip(&self.assigned) {
            match group.and_then(|index| approval.groups.get(index)) {
                Some(group) => counted.push(CountedDecision {
                    group: Some(group.name.clone()),
                    ..given.counted
                }),
                None => surplus.push(IgnoredDecision {
                    name: given.name,
                    user: given.counted.user,
                    reason: NOT_NEEDED.into(),
                }),
            }
        }
        (counted, surplus)
    }
}
