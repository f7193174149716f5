//! The items that somebody could see since they were last changed: what to rotate.
//!
//! Keyloan knows of a change by the items' times in later records, and by loans that ended because
//! of one. It does not know which field was changed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{AccessRecord, EndReason, LinkOutcome, LinkRecord};

use super::report::opens;
use super::text::{Text, table};
use super::times::minute;

/// What the records say about each item. It holds no record, so its size depends on the number of
/// items and people.
#[derive(Debug, Default)]
pub struct Exposures {
    items: BTreeMap<(String, String), Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The latest known change, in seconds.
    changed: i64,
    /// A version that was changed later, in seconds.
    outdated: Option<i64>,
    /// What the links of the latest known version showed, and to whom.
    exposed: Option<Exposed>,
}

/// An item that somebody could see since it was last changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exposed {
    /// The item's title.
    pub item: String,
    /// The item's id.
    pub item_id: String,
    /// The vault's title.
    pub vault: String,
    /// The address of the account's service account.
    pub account: String,
    /// The integrations that lent the item, each after its namespace and a slash.
    pub integrations: BTreeSet<String>,
    /// The time of the last known change.
    pub item_updated: Timestamp,
    /// The item's version that was shared last.
    pub item_version: Option<u32>,
    /// The time from which a link could open.
    pub since: Timestamp,
    /// The latest time until which a link may open, even a lost one.
    pub opens_until: Timestamp,
    /// The number of lost links: they may exist, and nobody has them.
    pub lost_links: usize,
    /// The people who could see it: requesters by username, recipients by address.
    pub people: BTreeMap<String, Seen>,
    /// The grants by which it was lent, each after its namespace and a slash.
    pub grants: BTreeSet<String>,
}

/// From when until when links to a person could open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The start of the first link.
    pub since: Timestamp,
    /// The end of the last link.
    pub opens_until: Timestamp,
}

impl Exposures {
    /// Reads a record. The order of the records does not matter.
    pub fn add(&mut self, record: &AccessRecord) {
        let terms = &record.spec.terms;
        let key = (terms.account.clone(), terms.item.id.clone());
        let known = self.items.entry(key).or_default();
        let updated = terms.item_updated_at.0.as_second();
        known.learn(updated, record);
        if known.changed == updated {
            known.expose(record);
        }
    }

    /// The items that are exposed, by title.
    pub fn listed(self) -> Vec<Exposed> {
        let current = |known: Known| {
            let is_outdated = known
                .outdated
                .is_some_and(|outdated| outdated >= known.changed);
            known.exposed.filter(|_| !is_outdated)
        };
        let mut listed: Vec<_> = self.items.into_values().filter_map(current).collect();
        listed.sort_by(|a, b| {
            (&a.item, &a.account, &a.item_id).cmp(&(&b.item, &b.account, &b.item_id))
        });
        listed
    }
}

impl Known {
    fn learn(&mut self, updated: i64, record: &AccessRecord) {
        if updated > self.changed {
            self.changed = updated;
            self.exposed = None;
        }
        let ended = record.spec.end.as_ref();
        if ended.is_some_and(|end| end.reason == EndReason::ItemChanged) {
            self.outdated = self.outdated.max(Some(updated));
        }
    }

    fn expose(&mut self, record: &AccessRecord) {
        let (spec, terms) = (&record.spec, &record.spec.terms);
        let opens = opens(record);
        let first = opens.iter().map(|(from, _)| *from).min();
        let last = opens.iter().map(|(_, until)| *until).max();
        let (Some(since), Some(opens_until)) = (first, last) else {
            return;
        };
        let exposed = self.exposed.get_or_insert_with(|| Exposed {
            item: terms.item.title.clone(),
            item_id: terms.item.id.clone(),
            vault: terms.vault.title.clone(),
            account: terms.account.clone(),
            integrations: BTreeSet::new(),
            item_updated: terms.item_updated_at.0,
            item_version: None,
            since,
            opens_until,
            lost_links: 0,
            people: BTreeMap::new(),
            grants: BTreeSet::new(),
        });
        let lent_by = &terms.integration;
        let integration = format!("{}/{}", lent_by.namespace, lent_by.name);
        exposed.integrations.insert(integration);
        let grant = format!("{}/{}", spec.grant.namespace, spec.grant.name);
        exposed.grants.insert(grant);
        exposed.since = exposed.since.min(since);
        exposed.opens_until = exposed.opens_until.max(opens_until);
        let versions = spec.links.iter().filter_map(|link| link.item_version);
        exposed.item_version = exposed.item_version.into_iter().chain(versions).max();
        let lost = |link: &&LinkRecord| link.outcome == Some(LinkOutcome::Lost);
        exposed.lost_links += spec.links.iter().filter(lost).count();
        for person in people(record) {
            let seen = exposed
                .people
                .entry(person)
                .or_insert(Seen { since, opens_until });
            seen.since = seen.since.min(since);
            seen.opens_until = seen.opens_until.max(opens_until);
        }
    }
}

/// The recipients and the requester, who can read the link's Secret. A requester who is a recipient
/// counts once.
fn people(record: &AccessRecord) -> Vec<String> {
    let (requester, terms) = (&record.spec.requester, &record.spec.terms);
    let mut people: Vec<_> = terms.recipients.iter().map(|to| to.0.clone()).collect();
    let address = requester.email.as_ref().map(|email| email.0.clone());
    let is_recipient = |name: &String| people.contains(&name.to_ascii_lowercase());
    if !is_recipient(&requester.username) && !address.as_ref().is_some_and(is_recipient) {
        people.push(requester.username.clone());
    }
    people
}

/// The items as a table.
pub fn as_table(items: &[Exposed]) -> Text {
    let heading = ["ITEM", "VAULT", "CHANGED", "PEOPLE", "SINCE", "OPENS UNTIL"];
    let row = |item: &Exposed| {
        let changed = minute(item.item_updated);
        let people: Vec<_> = item.people.keys().map(String::as_str).collect();
        let lost = match item.lost_links {
            0 => String::new(),
            lost => format!(" ({lost} lost)"),
        };
        vec![
            item.item.clone(),
            item.vault.clone(),
            match item.item_version {
                Some(version) => format!("{changed} (version {version})"),
                None => changed,
            },
            people.join(", "),
            minute(item.since),
            format!("{}{lost}", minute(item.opens_until)),
        ]
    };
    table(&heading, items.iter().map(row).collect())
}
