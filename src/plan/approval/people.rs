//! The people who may decide on a request: members of groups, subject to the four-eyes rule that
//! every approval follows.

use crate::api::{AgreedPerson, Email, Identity, Person, PersonKind, Terms, WithoutAddress};
use crate::plan::people::{Mailbox, is_blocked, receives, same_person};
use crate::plan::selection::is_one_of;

impl AgreedPerson {
    /// A person or group in the rules, in the form that the terms keep.
    pub fn of(person: &Person) -> Self {
        Self {
            kind: person.kind,
            name: person.name.clone(),
        }
    }
}

/// Whether the identity is a person's. ServiceAccounts and other machinery never approve or deny.
pub(super) fn is_person(who: &Identity) -> bool {
    !who.username.is_empty() && !who.username.starts_with("system:")
}

/// Whether a person may end this loan: its requester, an approver or an owner.
pub(super) fn may_end(who: &Identity, requester: &Identity, terms: &Terms) -> bool {
    same_person(who, requester) || decides(who, terms)
}

/// Whether a person may decide on these terms: an approver of any group, or an owner.
pub(super) fn decides(who: &Identity, terms: &Terms) -> bool {
    let groups = terms.approval.iter().flat_map(|a| &a.groups);
    is_person(who)
        && (is_one_of(&terms.owners, who)
            || groups
                .into_iter()
                .any(|group| is_one_of(&group.approvers, who)))
}

/// The person whom the rules name, if they name one person. Only the name is known.
pub(super) fn one_person(named: &AgreedPerson) -> Option<Identity> {
    (named.kind == PersonKind::User).then(|| Identity {
        username: named.name.clone(),
        ..Identity::default()
    })
}

/// The people who may not approve: the requester, the recipients and those who are blocked.
#[derive(Clone, Copy)]
pub(super) struct Parties<'a> {
    pub(super) requester: &'a Identity,
    pub(super) recipients: &'a [Email],
    pub(super) blocked: &'a [Person],
}

impl<'a> Parties<'a> {
    /// Whether a named person or group may approve, as far as the name tells. A group always may
    /// have an eligible member.
    pub(super) fn leave(&self, named: &AgreedPerson) -> bool {
        one_person(named).is_none_or(|person| self.exclude(&person).is_none())
    }

    /// The reason why a person may not approve, if so.
    fn exclude(&self, who: &Identity) -> Option<&'static str> {
        if same_person(who, self.requester) {
            return Some("requesters cannot approve their own request");
        }
        if receives(who, self.recipients) {
            return Some("recipients of the link cannot approve the request");
        }
        is_blocked(who, self.blocked).then_some(
            "the integration's owners have blocked the person who made the decision \
                        (limits.blocked)",
        )
    }

    /// The reason why a person's approval does not count, if so: every approval needs four eyes.
    pub(super) fn four_eyes(
        &self,
        who: &Identity,
        without_address: WithoutAddress,
    ) -> Result<(), &'static str> {
        if let Some(why) = self.exclude(who) {
            return Err(why);
        }
        if Mailbox::known(who).is_none() && without_address == WithoutAddress::Ignored {
            return Err(
                "the cluster knows no e-mail address for the approver, so it cannot rule out that \
                 the approver is the requester or a recipient: configure email or emailDomain in \
                 the keyloan-crds chart, or set approval.withoutAddress: Allowed in the flow",
            );
        }
        Ok(())
    }
}
