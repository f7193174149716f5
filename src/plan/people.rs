//! Identifies people: a person is a mailbox, and all rules about people read names in this one way.

use crate::api::{Email, Identity, OnePasswordIntegration, Person, PersonKind};

/// The longest address that admission and the schema accept.
const LONGEST: usize = 254;

/// A mailbox. Addresses that differ only in case or in the part after a plus reach the same
/// mailbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mailbox(String);

impl Mailbox {
    /// The mailbox that an address reaches.
    pub fn of(address: &Email) -> Self {
        Self::reached_by(&address.0.to_ascii_lowercase())
    }

    /// The mailbox by which the cluster knows a person: that of the address which admission has
    /// set, and no other.
    pub fn known(who: &Identity) -> Option<Self> {
        Self::named(&who.email.as_ref()?.0)
    }

    /// The mailbox of a name in a rule: the whole name has to be an address. No part of a name
    /// counts, because `CORP\ben@other.org` and `ben_other.org#EXT#@contoso.onmicrosoft.com` are
    /// nobody's addresses.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        is_address(&name).then(|| Self::reached_by(&name))
    }

    fn reached_by(address: &str) -> Self {
        let parts = address.split_once('@');
        let plain = parts.and_then(|(local, domain)| {
            let (name, _) = local.split_once('+')?;
            // A name that begins with a plus has nothing before it.
            (!name.is_empty()).then(|| format!("{name}@{domain}"))
        });
        Self(plain.unwrap_or_else(|| address.to_owned()))
    }
}

/// Whether a lower-case text has the form that `EMAIL_PATTERN` describes.
fn is_address(text: &str) -> bool {
    let plain = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let is_atom = |atom: &str| {
        let in_local = |c: u8| plain(c) || matches!(c, b'_' | b'\'' | b'+');
        !atom.is_empty() && atom.bytes().all(in_local)
    };
    let is_label = |label: &str| {
        let between_dashes = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && !between_dashes && label.bytes().all(plain)
    };
    let is_top = |label: &str| label.starts_with(|c: char| c.is_ascii_lowercase());
    text.len() <= LONGEST
        && text.split_once('@').is_some_and(|(local, domain)| {
            let top = domain.rsplit_once('.').map(|(_, top)| top);
            local.split('.').all(is_atom)
                && domain.split('.').all(is_label)
                && top.is_some_and(is_top)
        })
}

/// Whether a name in a rule means this person: it is their exact username, or an address of the
/// mailbox by which the cluster knows them.
pub fn is_name_of(name: &str, who: &Identity) -> bool {
    let named = || Mailbox::named(name).is_some_and(|named| Mailbox::known(who) == Some(named));
    name == who.username || named()
}

/// Whether a person is in a group. System groups include everyone, and are removed from identities.
pub fn in_group(who: &Identity, group: &str) -> bool {
    !group.starts_with("system:") && who.groups.iter().any(|g| g.0 == group)
}

/// Whether two identities may belong to one person. To exclude people, a username counts in any
/// case and, if it is an address as a whole, as an address, even if the cluster derives none from
/// it.
pub fn same_person(one: &Identity, other: &Identity) -> bool {
    let mailboxes = mailboxes(other);
    one.username.eq_ignore_ascii_case(&other.username)
        || self::mailboxes(one)
            .iter()
            .flatten()
            .any(|own| mailboxes.iter().flatten().any(|other| own == other))
}

/// Whether a person is known to be among the recipients.
pub fn receives(who: &Identity, recipients: &[Email]) -> bool {
    let own = mailboxes(who);
    let is_own = |recipient| own.iter().flatten().any(|own| *own == recipient);
    recipients.iter().map(Mailbox::of).any(is_own)
}

/// The people whom the owners of an integration have blocked.
pub fn blocked_by(integration: &OnePasswordIntegration) -> &[Person] {
    let limits = integration.spec.limits.as_ref();
    limits.map_or(&[], |limits| &limits.blocked)
}

/// Whether a person is blocked: by username in any case, by mailbox or by group.
pub fn is_blocked(who: &Identity, blocked: &[Person]) -> bool {
    let own = mailboxes(who);
    let is_own = |named: &Mailbox| own.iter().flatten().any(|own| own == named);
    blocked.iter().any(|person| match person.kind {
        PersonKind::User => {
            person.name.eq_ignore_ascii_case(&who.username)
                || Mailbox::named(&person.name).as_ref().is_some_and(is_own)
        }
        PersonKind::Group => in_group(who, &person.name),
    })
}

/// The first address whose mailbox is blocked. A recipient's groups are unknown, so only a name can
/// block a recipient.
pub fn first_blocked<'a>(
    mut addresses: impl Iterator<Item = &'a Email>,
    blocked: &[Person],
) -> Option<&'a Email> {
    addresses.find(|address| {
        let mailbox = Some(Mailbox::of(address));
        let is_it = |p: &Person| p.kind == PersonKind::User && Mailbox::named(&p.name) == mailbox;
        blocked.iter().any(is_it)
    })
}

/// The mailboxes that may belong to a person.
fn mailboxes(who: &Identity) -> [Option<Mailbox>; 2] {
    [Mailbox::known(who), Mailbox::named(&who.username)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::api::EMAIL_PATTERN;

    #[rstest]
    #[case::an_address("ben@other.org", Some("ben@other.org"))]
    #[case::in_capitals("Ben@OTHER.org", Some("ben@other.org"))]
    #[case::of_a_further_mailbox("ben+links@other.org", Some("ben@other.org"))]
    #[case::of_two("ben+a+b@other.org", Some("ben@other.org"))]
    #[case::a_dot_is_a_name("b.en@other.org", Some("b.en@other.org"))]
    #[case::nothing_before_the_plus("+a@other.org", Some("+a@other.org"))]
    #[case::a_bare_name("ben", None)]
    #[case::no_domain("ben@localhost", None)]
    #[case::a_prefix("oidc:ben@other.org", None)]
    #[case::a_path("ben@other.org/admin", None)]
    #[case::a_guest("ben_other.org#EXT#@contoso.onmicrosoft.com", None)]
    #[case::a_display_name("Ben <ben@other.org>", None)]
    #[case::a_blank_at_the_end("ben@other.org ", None)]
    #[case::a_letter_that_lowers_to_ascii("\u{212a}en@other.org", None)]
    #[case::a_top_level_of_digits("ben@10.0.0.1", None)]
    fn a_name_is_read_as_an_address_as_a_whole_or_not_at_all(
        #[case] name: &str,
        #[case] mailbox: Option<&str>,
    ) {
        assert_eq!(Mailbox::named(name), mailbox.map(|m| Mailbox(m.into())));
    }

    proptest! {
        /// The form exists twice: as a pattern for the API server, and here.
        #[test]
        fn all_that_the_pattern_takes_is_read(
            address in proptest::string::string_regex(EMAIL_PATTERN.trim_matches(['^', '$'])).unwrap(),
        ) {
            let fits = address.len() <= LONGEST;
            prop_assert_eq!(Mailbox::named(&address).is_some(), fits, "{}", address);
            let of = Mailbox::of(&Email(address.clone()));
            prop_assert!(Mailbox::named(&address).is_none_or(|named| named == of));
        }
    }
}
