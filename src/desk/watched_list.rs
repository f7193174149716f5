//! A list that follows the changes of its grants.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::AccessGrant;

use super::list::Row;

/// A list that is watched: the known grants by uid, and which of them are listed.
#[derive(Default)]
pub struct Watched {
    known: BTreeMap<String, AccessGrant>,
    listed: BTreeSet<String>,
}

/// What a change means for the list.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing: the list does not show the grant.
    None,
    /// The grant has a new row.
    Row,
    /// The grant has left the list.
    Left,
}

impl Watched {
    /// Remembers a grant. Returns whether it is new or has changed.
    pub fn see(&mut self, grant: &AccessGrant) -> bool {
        let before = self.known.insert(uid(grant), grant.clone());
        before.is_none_or(|before| before != *grant)
    }

    /// The known grants.
    pub fn known(&self) -> impl Iterator<Item = &AccessGrant> {
        self.known.values()
    }

    /// Lists a grant if it is wanted, and otherwise removes it from the list.
    pub fn list(&mut self, grant: &AccessGrant, wanted: bool) -> News {
        match wanted {
            true => {
                self.listed.insert(uid(grant));
                News::Row
            }
            false if self.listed.remove(&uid(grant)) => News::Left,
            false => News::None,
        }
    }

    /// Forgets a deleted grant. Returns whether it was listed.
    pub fn forget(&mut self, grant: &AccessGrant) -> bool {
        self.known.remove(&uid(grant));
        self.listed.remove(&uid(grant))
    }

    /// The rows of the listed grants, with this grant's row as the last one.
    pub fn rows_up_to(&self, grant: &AccessGrant, now: Timestamp) -> Vec<Row> {
        let listed = |(uid, other): &(&String, &AccessGrant)| {
            self.listed.contains(*uid) && other.uid() != grant.uid()
        };
        let others = self.known.iter().filter(listed).map(|(_, other)| other);
        let rows = others.chain([grant]).map(|grant| Row::of(grant, now));
        rows.collect()
    }
}

fn uid(grant: &AccessGrant) -> String {
    grant.uid().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::list::{View, Whose};
    use crate::desk::samples;

    #[test]
    fn what_waits_is_listed_and_what_waits_no_more_is_told_once() {
        let for_bob = View {
            me: samples::bob(),
            whose: Whose::ForMe,
            namespace: Some("team-a".into()),
            wide: false,
        };
        let (waiting, denied) = (samples::waiting(), samples::denied());
        let mut watched = Watched::default();
        assert!(watched.see(&waiting));
        assert!(!watched.see(&waiting), "it is the same");
        assert_eq!(watched.list(&waiting, true), News::Row);
        assert!(watched.see(&denied));
        assert_eq!(watched.list(&denied, false), News::Left);
        assert_eq!(watched.list(&denied, false), News::None);
        assert!(!watched.forget(&denied), "nobody waits for it");
        assert_eq!(
            for_bob.left(&denied),
            "alice-root no longer waits for your decision. It is over: bob@example.com said no: use the replica."
        );
    }
}
