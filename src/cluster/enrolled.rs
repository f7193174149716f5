//! The namespaces in which the operator may touch Secrets: where people borrow, and where the integrations' tokens are.

use std::collections::BTreeSet;
use std::fmt;

/// Where the operator may touch Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Enrolled {
    /// Everywhere.
    #[default]
    All,
    /// Only here.
    Only {
        /// Where people borrow: it reads and writes Secrets there. Integrations may be there, too.
        lending: BTreeSet<String>,
        /// Where integrations are and nobody borrows: it only reads Secrets there.
        reading: BTreeSet<String>,
    },
}

impl Enrolled {
    /// Only these namespaces, and in all of them it reads and writes.
    pub fn only<N: Into<String>>(namespaces: impl IntoIterator<Item = N>) -> Self {
        Self::Only {
            lending: namespaces.into_iter().map(Into::into).collect(),
            reading: BTreeSet::new(),
        }
    }

    /// Whether an integration's token may be read there.
    pub fn may_read(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only { lending, reading } => {
                lending.contains(namespace) || reading.contains(namespace)
            }
        }
    }

    /// Whether a link may be kept there.
    pub fn may_lend(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only { lending, .. } => lending.contains(namespace),
        }
    }

    /// Where Secrets are read, each namespace once; `None` for everywhere.
    pub fn read(&self) -> Option<BTreeSet<&str>> {
        match self {
            Self::All => None,
            Self::Only { lending, reading } => {
                Some(lending.union(reading).map(String::as_str).collect())
            }
        }
    }
}

impl fmt::Display for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |names: &BTreeSet<String>| Vec::from_iter(names.iter().cloned()).join(", ");
        match self {
            Self::All => f.write_str("all namespaces"),
            Self::Only { lending, reading } if reading.is_empty() => f.write_str(&listed(lending)),
            Self::Only { lending, reading } => write!(
                f,
                "{}; for tokens only: {}",
                listed(lending),
                listed(reading)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_wherever_it_is_enrolled_and_links_kept_only_where_people_borrow() {
        let both = Enrolled::Only {
            lending: ["apart".into(), "both".into()].into(),
            reading: ["both".into(), "tokens".into()].into(),
        };
        for (enrolled, namespace, reads, lends) in [
            (&Enrolled::All, "any", true, true),
            (&Enrolled::only(["apart"]), "apart", true, true),
            (&both, "apart", true, true),
            (&both, "both", true, true),
            (&both, "tokens", true, false),
            (&both, "elsewhere", false, false),
        ] {
            assert_eq!(enrolled.may_read(namespace), reads, "{namespace}");
            assert_eq!(enrolled.may_lend(namespace), lends, "{namespace}");
        }
        let watched = both.read().unwrap();
        assert_eq!(Vec::from_iter(watched), ["apart", "both", "tokens"]);
        assert_eq!(Enrolled::All.read(), None);
        assert_eq!(
            both.to_string(),
            "apart, both; for tokens only: both, tokens"
        );
    }
}
