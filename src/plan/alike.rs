//! Names of people and groups that differ only in case, prefix or leading slash. Rules and identity
//! providers often spell the same name differently, and the mismatch is hard to see.

use crate::api::{Identity, PersonKind, Subject, SubjectKind};

/// A name in a rule that resembles one of a person's own names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// The name in the rule.
    pub named: String,
    /// The person's name as the API server knows it.
    pub own: String,
    /// Whether the name is a group's.
    pub is_group: bool,
}

impl Alike {
    /// The person's own name that the rule probably means, if the rule does not name the person.
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

    /// The same for a flow's requester rule.
    pub fn of_subject(subject: &Subject, who: &Identity) -> Option<Self> {
        let kind = match subject.kind {
            SubjectKind::User => PersonKind::User,
            SubjectKind::Group => PersonKind::Group,
            SubjectKind::ServiceAccount => return None,
        };
        Self::of(kind, &subject.name, who)
    }

    /// Both names side by side, for a message.
    pub fn compared(&self) -> String {
        let Self { named, own, .. } = self;
        match self.is_group {
            true => format!("it names group {named:?}, but you are in {own:?}"),
            false => format!("it names {named:?}, but you are {own:?}"),
        }
    }
}

/// Whether two different names are equal apart from case, prefix and leading slash.
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
