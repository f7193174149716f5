//! Lists of requests and loans: which ones somebody looks at, a row for each, and what of a change is news.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{AccessDecision, AccessGrant, Identity};

use super::approvers::waits_for;
use super::standing::{where_it_is, why_and_until_when};
use super::terms;
use super::times::age;

/// Whose requests somebody looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// One's own.
    Own,
    /// Those that wait for one's decision.
    ForMe,
    /// All people's.
    Everyones,
}

/// Whether a grant is one of those that somebody looks at. It is told one's own from others beforehand.
pub fn is_wanted(
    whose: Whose,
    me: &Identity,
    grant: &AccessGrant,
    decisions: &[AccessDecision],
) -> bool {
    whose != Whose::ForMe || waits_for(me, grant, decisions)
}

/// Sorts grants as people read them: the youngest first.
pub fn sort(grants: &mut [AccessGrant]) {
    grants.sort_by_key(|g| {
        let made = g.creation_timestamp().map(|t| t.0);
        (std::cmp::Reverse(made), g.namespace(), g.name_any())
    });
}

/// What a list tells of a grant. What is not known is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The username of who asks.
    pub requester: String,
    /// The item and its vault.
    pub item: String,
    /// How far it is.
    pub phase: String,
    /// How long ago it was made.
    pub age: String,
    /// The integration.
    pub integration: String,
    /// The flow that was chosen.
    pub flow: String,
    /// How long the loan lasts or is to last.
    pub duration: String,
    /// Why it is in this phase, or until when.
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
            standing: why_and_until_when(grant, now),
        }
    }
}

/// A list that goes on: what has been seen, by uid, and what of it has been listed.
#[derive(Default)]
pub struct Watched {
    known: BTreeMap<String, AccessGrant>,
    listed: BTreeSet<String>,
}

/// What a change means to who watches the list.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing: the grant is none of this list's.
    None,
    /// The grant's row is another one now.
    Row,
    /// The grant has left the list.
    Left,
}

impl Watched {
    /// Whether a grant is another than it was.
    pub fn see(&mut self, grant: &AccessGrant) -> bool {
        let before = self.known.insert(uid(grant), grant.clone());
        before.is_none_or(|before| before != *grant)
    }

    /// All that has been seen.
    pub fn known(&self) -> impl Iterator<Item = &AccessGrant> {
        self.known.values()
    }

    /// Lists a grant if it is wanted, and no longer if it is not.
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

    /// Whether a grant that is gone was listed.
    pub fn forget(&mut self, grant: &AccessGrant) -> bool {
        self.known.remove(&uid(grant));
        self.listed.remove(&uid(grant))
    }

    /// The rows of what is listed, and this grant's as the last one.
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

/// A grant has left the list. Only who looks at what waits for their decision sees that.
pub fn left(called: impl Display, grant: &AccessGrant) -> String {
    format!(
        "{called} no longer waits for your decision. {}",
        where_it_is(grant)
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
            "alice-root no longer waits for your decision. Denied: bob@example.com said no: use the replica"
        );
    }
}
