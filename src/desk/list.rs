//! Lists of requests and loans: which grants belong to a list, a row for each, and what a change
//! means.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{AccessDecision, AccessGrant, Identity};

use super::approvers::waits_for;
use super::standing::{cause_or_end, state};
use super::terms;
use super::times::age;

/// Whose requests and loans a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The person's own.
    Own,
    /// The requests that wait for the person's decision.
    ForMe,
    /// Everyone's.
    Everyones,
}

/// Whether a list shows a grant. For [`Whose::Own`], the API server has selected the grants
/// already.
pub fn is_wanted(
    whose: Whose,
    me: &Identity,
    grant: &AccessGrant,
    decisions: &[AccessDecision],
) -> bool {
    whose != Whose::ForMe || waits_for(me, grant, decisions)
}

/// Sorts grants, the newest first.
pub fn sort(grants: &mut [AccessGrant]) {
    grants.sort_by_key(|g| {
        let made = g.creation_timestamp().map(|t| t.0);
        (std::cmp::Reverse(made), g.namespace(), g.name_any())
    });
}

/// The row of a grant in a list. Unknown values are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The requester's username.
    pub requester: String,
    /// The item and its vault.
    pub item: String,
    /// Its phase.
    pub phase: String,
    /// Its age.
    pub age: String,
    /// The integration.
    pub integration: String,
    /// The chosen flow.
    pub flow: String,
    /// The duration of the loan.
    pub duration: String,
    /// The cause of its phase, or the time at which it ends.
    pub standing: String,
}

impl Row {
    /// The row of a grant.
    pub fn of(grant: &AccessGrant, now: Timestamp) -> Self {
        let (spec, status) = (&grant.spec, grant.status.as_ref());
        let phase = status.and_then(|s| s.phase).unwrap_or_default();
        let requester = spec.requester.as_ref();
        let agreed = status.and_then(|s| s.terms.as_ref()).map(|t| &t.duration);
        let duration = agreed.or(spec.duration.as_ref());
        Self {
            namespace: grant.namespace().unwrap_or_default(),
            name: grant.name_any(),
            requester: requester.map_or_else(String::new, |who| who.username.clone()),
            item: terms::item(grant),
            phase: format!("{phase:?}"),
            age: age(grant.creation_timestamp().map(|t| t.0), now),
            integration: spec.integration.name.0.clone(),
            flow: status.and_then(|s| s.flow.clone()).unwrap_or_default(),
            duration: duration.map_or_else(String::new, |d| d.0.clone()),
            standing: cause_or_end(grant, now),
        }
    }
}

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

/// Says that a grant has left the list, which happens only in [`Whose::ForMe`].
pub fn left(called: impl Display, grant: &AccessGrant) -> String {
    format!(
        "{called} no longer waits for your decision. It {}",
        state(grant)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::samples;

    #[test]
    fn a_request_waits_for_whoever_can_decide_and_has_not() {
        let waits = |me: Identity, decisions: &[AccessDecision]| {
            let all = samples::all();
            let wanted = |grant: &&AccessGrant| is_wanted(Whose::ForMe, &me, grant, decisions);
            all.iter().filter(wanted).count()
        };
        assert_eq!(waits(samples::bob(), &[]), 1);
        assert_eq!(
            waits(samples::alice(), &[]),
            0,
            "requesters cannot approve their own request"
        );
        assert_eq!(
            waits(samples::erin(), &[]),
            0,
            "she is in no group that decides"
        );
        let mut decision = samples::approval_by(samples::bob());
        assert_eq!(
            waits(samples::bob(), &[decision.clone()]),
            0,
            "he has decided"
        );
        decision.spec.digest = Some("sha256:other".into());
        assert_eq!(
            waits(samples::bob(), &[decision]),
            1,
            "the terms have changed since"
        );
    }

    #[test]
    fn what_waits_is_listed_and_what_waits_no_more_is_told_once() {
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
            left(denied.name_any(), &denied),
            "alice-root no longer waits for your decision. It is over: bob@example.com said no: use the replica."
        );
    }
}
