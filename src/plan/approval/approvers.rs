//! The people who may decide on a request: who may approve it at which time, and for which groups;
//! who is left to ask; who may deny or revoke it. Everyone who needs to know asks [`Approvers`].

use std::ops::Range;

use jiff::Timestamp;

use crate::api::{
    AgreedApproval, AgreedPerson, ApprovalMode, Email, Identity, Person, PersonKind, Terms,
    WithoutAddress,
};
use crate::plan::people::{Mailbox, in_group, is_blocked, is_name_of, receives, same_person};

/// The people who may decide on a request, at one time.
#[derive(Clone, Debug)]
pub struct Approvers<'a> {
    /// The required approvals; `None` if there are none.
    approval: Option<&'a AgreedApproval>,
    owners: &'a [AgreedPerson],
    requester: Option<&'a Identity>,
    recipients: &'a [Email],
    blocked: &'a [Person],
    /// Whether the cluster's e-mail addresses of people are known.
    knows_addresses: bool,
    /// From the request's creation to the deadline for approvals.
    period: Range<Timestamp>,
    at: Timestamp,
}

/// A group that has to approve, with its members at one time.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The group's name in the flow.
    pub name: &'a str,
    /// How many different members have to approve.
    pub required: u32,
    /// The members.
    pub approvers: Vec<&'a AgreedPerson>,
}

/// The reason why a person's approval does not count, whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ineligible {
    /// The person requested the loan.
    Requester,
    /// The person receives the link.
    Recipient,
    /// The integration's owners have blocked the person.
    Blocked,
    /// The person may be the requester or a recipient under another name.
    WithoutAddress,
    /// The person is in none of the groups.
    InNoGroup,
}

impl From<Ineligible> for &'static str {
    fn from(why: Ineligible) -> Self {
        match why {
            Ineligible::Requester => "requesters cannot approve their own request",
            Ineligible::Recipient => "recipients of the link cannot approve the request",
            Ineligible::Blocked => {
                "the integration's owners have blocked the person who made the decision \
                 (limits.blocked)"
            }
            Ineligible::WithoutAddress => {
                "the cluster knows no e-mail address for the approver, so it cannot rule out that \
                 the approver is the requester or a recipient: configure email or emailDomain in \
                 the keyloan-crds chart, or set approval.withoutAddress: Allowed in the flow"
            }
            Ineligible::InNoGroup => {
                "this person is in none of the groups that approve the request"
            }
        }
    }
}

impl<'a> Approvers<'a> {
    /// The people who may decide on a request with these terms, at any time.
    pub fn of(terms: &'a Terms, requester: Option<&'a Identity>, blocked: &'a [Person]) -> Self {
        Self {
            approval: terms.approval.as_ref(),
            owners: &terms.owners,
            requester,
            recipients: &terms.recipients,
            blocked,
            knows_addresses: true,
            period: Timestamp::MIN..Timestamp::MAX,
            at: Timestamp::MAX,
        }
    }

    /// The same for a request that waits for approval from its creation to a deadline.
    pub fn during(self, period: Range<Timestamp>) -> Self {
        Self { period, ..self }
    }

    /// The same at this time.
    pub fn at(&self, at: Timestamp) -> Self {
        Self { at, ..self.clone() }
    }

    /// The same where nobody knows the e-mail addresses that the cluster has for people.
    pub fn without_known_addresses(self) -> Self {
        Self {
            knows_addresses: false,
            ..self
        }
    }

    /// Whether an approval is in time.
    pub(super) fn is_in_time(&self) -> bool {
        self.at < self.period.end
    }

    /// The deadline for approvals.
    pub(super) fn due(&self) -> Timestamp {
        self.period.end
    }

    /// Whether one group is enough; otherwise, all groups have to approve.
    pub fn any_group_is_enough(&self) -> bool {
        self.approval
            .is_some_and(|approval| approval.mode == ApprovalMode::AnyOf)
    }

    /// The time at which other people may approve, or nobody any longer.
    pub(super) fn until(&self) -> Timestamp {
        self.due()
    }

    /// The groups that have to approve.
    pub fn groups(&self) -> Vec<Group<'a>> {
        let groups = self.approval.map_or(&[][..], |approval| &approval.groups);
        let groups = groups.iter().map(|group| Group {
            name: &group.name,
            required: group.required,
            approvers: group.approvers.iter().collect(),
        });
        groups.collect()
    }

    /// The groups for which a person's approval could count, by index; never none. Every approval
    /// needs four eyes.
    pub fn may_approve(&self, who: &Identity) -> Result<Vec<usize>, Ineligible> {
        if let Some(why) = self.excluded(who) {
            return Err(why);
        }
        let ignored = self
            .approval
            .is_some_and(|approval| approval.without_address == WithoutAddress::Ignored);
        if ignored && self.knows_addresses && Mailbox::known(who).is_none() {
            return Err(Ineligible::WithoutAddress);
        }
        let groups = self.groups().into_iter().enumerate();
        let own = groups.filter(|(_, group)| is_among(group.approvers.iter().copied(), who));
        let own: Vec<_> = own.map(|(index, _)| index).collect();
        match own.is_empty() {
            true => Err(Ineligible::InNoGroup),
            false => Ok(own),
        }
    }

    /// The named people and groups that can still approve for one of these groups: without the
    /// requester, recipients, blocked people and those who have approved already.
    pub fn left(&self, groups: &[usize], approved: &[&Identity]) -> Vec<&'a AgreedPerson> {
        let all = self.groups();
        let named = groups.iter().filter_map(|group| all.get(*group));
        let mut left: Vec<&AgreedPerson> = Vec::new();
        for person in named.flat_map(|group| &group.approvers) {
            let has_approved = one_person(person)
                .is_some_and(|person| approved.iter().any(|by| same_person(by, &person)));
            if self.may_be_eligible(person) && !has_approved && !left.contains(person) {
                left.push(person);
            }
        }
        left
    }

    /// The reason why the request can never be approved, if so: too few people are eligible at any
    /// time, whatever the members of the groups.
    pub fn shortfall(&self) -> Option<String> {
        self.approval?;
        let groups = self.at(Timestamp::MAX).groups();
        if groups.is_empty() {
            return Some("the flow requires approval but names no approvers".into());
        }
        let mut short = groups
            .iter()
            .filter_map(|group| Some((group, self.enough_people(group).err()?)));
        let (group, able) = match self.any_group_is_enough() {
            true if short.clone().count() < groups.len() => None,
            _ => short.next(),
        }?;
        Some(format!(
            "too few people can approve for group {:?}: {} required, {able} eligible; the \
             requester, recipients and blocked people are not eligible",
            group.name, group.required
        ))
    }

    /// Whether a person may deny the request: an approver of any group, at any time, or an owner.
    pub fn may_deny(&self, who: &Identity) -> bool {
        let groups = self.at(Timestamp::MAX).groups();
        let mut groups = groups.iter();
        is_person(who)
            && (is_among(self.owners, who)
                || groups.any(|group| is_among(group.approvers.iter().copied(), who)))
    }

    /// Whether a person may revoke the request or end the loan: anyone who may deny it, or its
    /// requester.
    pub fn may_revoke(&self, who: &Identity) -> bool {
        self.is_requester(who) || self.may_deny(who)
    }

    /// Whether a group has enough eligible people; if not, how many it has. A person who is named
    /// twice counts once.
    fn enough_people(&self, group: &Group<'_>) -> Result<(), usize> {
        let approvers = || group.approvers.iter();
        if approvers().any(|named| named.kind == PersonKind::Group) {
            return Ok(());
        }
        let able = approvers().filter(|named| self.may_be_eligible(named));
        let mut people: Vec<Identity> = Vec::new();
        for person in able.filter_map(|named| one_person(named)) {
            if !people.iter().any(|other| same_person(other, &person)) {
                people.push(person);
            }
        }
        match people.len() >= group.required as usize {
            true => Ok(()),
            false => Err(people.len()),
        }
    }

    /// Whether a named person or group may approve, as far as the name tells. A group always may
    /// have an eligible member.
    fn may_be_eligible(&self, named: &AgreedPerson) -> bool {
        one_person(named).is_none_or(|person| self.excluded(&person).is_none())
    }

    /// The reason why a person may not approve for any group, if so.
    fn excluded(&self, who: &Identity) -> Option<Ineligible> {
        if self.is_requester(who) {
            return Some(Ineligible::Requester);
        }
        if receives(who, self.recipients) {
            return Some(Ineligible::Recipient);
        }
        is_blocked(who, self.blocked).then_some(Ineligible::Blocked)
    }

    fn is_requester(&self, who: &Identity) -> bool {
        self.requester
            .is_some_and(|requester| same_person(who, requester))
    }
}

/// Whether the identity is a person's. ServiceAccounts and other machinery never approve or deny.
pub(super) fn is_person(who: &Identity) -> bool {
    !who.username.is_empty() && !who.username.starts_with("system:")
}

/// Whether the rules name this person or one of their groups.
pub fn is_named(named: &AgreedPerson, who: &Identity) -> bool {
    match named.kind {
        PersonKind::User => is_name_of(&named.name, who),
        PersonKind::Group => in_group(who, &named.name),
    }
}

/// `any member of security`, or the username.
pub fn name_of(person: &AgreedPerson) -> String {
    match person.kind {
        PersonKind::User => person.name.clone(),
        PersonKind::Group => format!("any member of {}", person.name),
    }
}

fn is_among<'a>(people: impl IntoIterator<Item = &'a AgreedPerson>, who: &Identity) -> bool {
    people.into_iter().any(|named| is_named(named, who))
}

/// The person whom the rules name, if they name one person. Only the name is known.
fn one_person(named: &AgreedPerson) -> Option<Identity> {
    (named.kind == PersonKind::User).then(|| Identity {
        username: named.name.clone(),
        ..Identity::default()
    })
}
