//! Who is who: members of groups, and the four eyes that every approval needs.

use crate::api::{AgreedPerson, Email, Identity, Person, PersonKind, Terms};
use crate::plan::selection::is_one_of;

impl AgreedPerson {
    /// A person or group of the rules, as the terms keep it.
    pub fn of(person: &Person) -> Self {
        Self {
            kind: person.kind,
            name: person.name.clone(),
        }
    }
}

/// Whether this is a person at all: ServiceAccounts and other machinery never decide.
pub(super) fn is_person(who: &Identity) -> bool {
    !who.username.is_empty() && !who.username.starts_with("system:")
}

/// Whether somebody may end this loan: its requester, an approver, an owner.
pub(super) fn may_end(who: &Identity, requester: &Identity, terms: &Terms) -> bool {
    who.username == requester.username || decides(who, terms)
}

/// Whether somebody has a say by these terms: an approver of any group, or an owner.
pub(super) fn decides(who: &Identity, terms: &Terms) -> bool {
    let groups = terms.approval.iter().flat_map(|a| &a.groups);
    is_person(who)
        && (is_one_of(&terms.owners, who)
            || groups
                .into_iter()
                .any(|group| is_one_of(&group.approvers, who)))
}

/// Whether two identities are one person's: by name, or by a mailbox.
pub fn same_person(one: &Identity, other: &Identity) -> bool {
    let mailboxes = addresses(other);
    one.username == other.username || addresses(one).iter().any(|own| mailboxes.contains(own))
}

/// Whether somebody is known to be among the recipients.
pub fn receives(who: &Identity, recipients: &[Email]) -> bool {
    let own = addresses(who);
    recipients
        .iter()
        .any(|recipient| own.contains(&mailbox(&recipient.0)))
}

/// Whom the rules name, if that is one person: all that is known of them is their name.
pub(super) fn one_person(named: &AgreedPerson) -> Option<Identity> {
    (named.kind == PersonKind::User).then(|| Identity {
        username: named.name.clone(),
        ..Identity::default()
    })
}

/// Whether somebody whom the rules name could approve, as far as their name tells. Of a group, somebody always could.
pub(super) fn could_approve(
    named: &AgreedPerson,
    requester: &Identity,
    recipients: &[Email],
) -> bool {
    one_person(named)
        .is_none_or(|person| !same_person(&person, requester) && !receives(&person, recipients))
}

/// Neither the one who asks nor one who receives the link can approve; if so, why not.
pub(super) fn four_eyes(
    who: &Identity,
    requester: &Identity,
    recipients: &[Email],
) -> Result<(), &'static str> {
    if same_person(who, requester) {
        return Err("nobody approves their own request");
    }
    if receives(who, recipients) {
        return Err("nobody approves a link that they receive");
    }
    // Whose address is unknown may be a recipient, unless only the requester is.
    let asks = addresses(requester);
    let mut others = recipients.iter().map(|recipient| mailbox(&recipient.0));
    if addresses(who).is_empty() && others.any(|recipient| !asks.contains(&recipient)) {
        return Err(
            "their e-mail address is not known, so nobody can tell that they do not receive the link",
        );
    }
    Ok(())
}

/// The mailboxes by which somebody is known: their e-mail address, and a username that is one, with or without the prefix that
/// API servers put before it (`oidc:bob@example.com`).
fn addresses(who: &Identity) -> Vec<String> {
    let username = who.username.as_str();
    let bare = username.rsplit([':', '#', '/']).next();
    let usernames = [Some(username), bare].into_iter().flatten();
    let usernames = usernames.filter(|name| name.contains('@'));
    let email = who.email.as_ref().map(|email| email.0.as_str());
    usernames.chain(email).map(mailbox).collect()
}

/// The mailbox that an address reaches: in lower case, and without what follows a plus.
fn mailbox(address: &str) -> String {
    let address = address.to_lowercase();
    match address.split_once('@') {
        Some((local, domain)) => {
            let local = local.split_once('+').map_or(local, |(local, _)| local);
            format!("{local}@{domain}")
        }
        None => address,
    }
}
