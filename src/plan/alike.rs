//! Names of people and groups that differ only by case, prefix or leading slash: rules and identity providers write the same one in
//! different ways, and nobody sees why a rule does not match.

use crate::api::{Identity, PersonKind, Subject, SubjectKind};

/// A name in a rule that somebody has in another spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// As the rule writes it.
    pub named: String,
    /// As the API server knows it of this person.
    pub own: String,
    /// Whether it is a group's.
    pub is_group: bool,
}

impl Alike {
    /// What a rule's name could have been meant to be, of somebody whom it does not name.
    pub fn of(kind: PersonKind, named: &str, who: &Identity) -> Option<Self> {
        let own = match kind {
            PersonKind::User => Some(&who.username).filter(|own| is_alike(named, own)),
            PersonKind::Group => {
                let mut groups = who.groups.iter().map(|group| &group.0);
                groups.find(|own| is_alike(named, own))
            }
        }?;
        Some(Self {
            named: named.to_owned(),
            own: own.clone(),
            is_group: kind == PersonKind::Group,
        })
    }

    /// The same of a rule about who may ask.
    pub fn of_subject(subject: &Subject, who: &Identity) -> Option<Self> {
        let kind = match subject.kind {
            SubjectKind::User => PersonKind::User,
            SubjectKind::Group => PersonKind::Group,
            SubjectKind::ServiceAccount => return None,
        };
        Self::of(kind, &subject.name, who)
    }

    /// Both names, for somebody to compare.
    pub fn compared(&self) -> String {
        let Self { named, own, .. } = self;
        match self.is_group {
            true => format!("it names group {named:?}, but you are in {own:?}"),
            false => format!("it names {named:?}, but you are {own:?}"),
        }
    }
}

/// Whether two names that differ are the same but for case, prefix and leading slash.
fn is_alike(one: &str, other: &str) -> bool {
    let (bare, others) = (bare(one), bare(other));
    one != other && !bare.is_empty() && bare == others
}

/// A name without its prefix, as in `oidc:ops`, `https://sso.example.com#ops`, `CORP\ops` or `/ops`.
fn bare(name: &str) -> String {
    let bare = name.rsplit([':', '#', '\\', '/']).next().unwrap_or(name);
    bare.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PrincipalName;
    use rstest::rstest;

    fn somebody() -> Identity {
        Identity {
            username: "oidc:Eve@example.com".into(),
            groups: ["casers", "/platform-owners", "CORP\\ops"]
                .map(|group| PrincipalName(group.into()))
                .into(),
            email: None,
        }
    }

    #[rstest]
    #[case::prefix(PersonKind::Group, "oidc:casers", Some("casers"))]
    #[case::case(PersonKind::Group, "Casers", Some("casers"))]
    #[case::leading_slash(PersonKind::Group, "platform-owners", Some("/platform-owners"))]
    #[case::domain(PersonKind::Group, "ops", Some("CORP\\ops"))]
    #[case::a_user(PersonKind::User, "eve@example.com", Some("oidc:Eve@example.com"))]
    #[case::the_same(PersonKind::Group, "casers", None)]
    #[case::another(PersonKind::Group, "caser", None)]
    #[case::a_group_is_no_user(PersonKind::User, "casers", None)]
    #[case::nothing_after_the_prefix(PersonKind::Group, "oidc:", None)]
    fn a_name_in_another_spelling_is_pointed_at(
        #[case] kind: PersonKind,
        #[case] named: &str,
        #[case] own: Option<&str>,
    ) {
        let found = Alike::of(kind, named, &somebody());
        assert_eq!(found.map(|alike| alike.own).as_deref(), own);
    }
}
