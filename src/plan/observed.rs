//! What was seen of one loan, all that a plan is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::{
    AccessDecision, AccessFlow, AccessGrant, AccessRecord, AccessRecordSpec,
    OnePasswordIntegration, Person, SecretReference, link_name,
};

use super::boundary::BoundarySeen;
use super::inventory::Inventory;
use super::links::Links;
use super::people::blocked_by;
use super::quota::Budget;
use super::record::is_of_a_loan;
use super::retry::{Attempt, Undeleted};

/// What was seen of one loan.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The request; `None` once it is deleted.
    pub grant: Option<Arc<AccessGrant>>,
    /// The loan's record, once there is one.
    pub record: Option<Arc<AccessRecord>>,
    /// There is a record, which is only history: what it tells stands in the request's status.
    pub history: bool,
    /// The labels of the grant's namespace.
    pub namespace_labels: BTreeMap<String, String>,
    /// The flows of the integration.
    pub flows: Vec<Arc<AccessFlow>>,
    /// The integration.
    pub integration: Option<IntegrationSeen>,
    /// The Secret with the link. Read live where it matters, since caches lag.
    pub link: LinkSeen,
    /// What the requester has by each flow (by uid), this loan not counted.
    pub usage: BTreeMap<String, Usage>,
    /// The requester's requests that come before this one in line.
    pub ahead: Ahead,
    /// The records of the requester's denied requests, this one's excepted.
    pub denials: Vec<Arc<AccessRecord>>,
    /// A request that is gone and has no record, as it was last seen, for some minutes after it went.
    pub gone: Option<Arc<AccessGrant>>,
    /// The decisions that name this grant, by name: of each person the newest.
    pub decisions: Vec<Arc<AccessDecision>>,
    /// Whether the API server guards who asks and who decides.
    pub boundary: BoundarySeen,
    /// The uids of the request and of the decisions that were there when a check of the boundary began that it passed.
    pub checked: BTreeSet<String>,
    /// How the last attempt to issue a link failed, if it did.
    pub attempt: Option<Attempt>,
    /// How the last attempt to delete the link's Secret failed, if it did.
    pub undeleted: Option<Undeleted>,
    /// The namespace in which links are kept.
    pub links_namespace: String,
    /// This install does not serve the integration's namespace any more: what it has lent runs out.
    pub unserved: bool,
}

impl Observed {
    /// The Secret with the link of the grant with this uid.
    pub fn secret_of(&self, grant_uid: &str) -> SecretReference {
        SecretReference {
            namespace: self.links_namespace.clone(),
            name: link_name(grant_uid),
        }
    }

    /// The grant that a record is about: not a later one of the same name, and not one that is being deleted.
    pub fn grant_of(&self, record: &AccessRecord) -> Option<&AccessGrant> {
        self.grant.as_deref().filter(|grant| {
            grant.metadata.uid.as_ref() == Some(&record.spec.grant.uid)
                && grant.metadata.deletion_timestamp.is_none()
        })
    }

    /// Whom the integration's owners have blocked.
    pub fn blocked(&self) -> &[Person] {
        let integration = self.integration.as_ref();
        integration.map_or(&[], |seen| blocked_by(&seen.object))
    }
}

/// What was seen of the integration.
#[derive(Clone, Debug)]
pub struct IntegrationSeen {
    /// The object, with its status.
    pub object: Arc<OnePasswordIntegration>,
    /// The vaults and overviews, once they have been listed since the operator started.
    pub inventory: Option<Arc<Inventory>>,
    /// 1Password has asked us to wait until then.
    pub throttled_until: Option<Timestamp>,
    /// What is left of the request limits for a link of this loan.
    pub budget: Budget,
}

/// What was seen of the Secret with the link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LinkSeen {
    /// There is none.
    #[default]
    Absent,
    /// There is one of that name which is not ours.
    Foreign,
    /// It is ours and was deleted, and somebody's finalizer keeps it.
    Kept,
    /// Nobody knows: the operator may not look into the namespace of the links, or has had no answer.
    OutOfReach,
    /// It is there.
    Present {
        /// Which link of the loan it holds.
        sequence: u32,
        /// When the answer with it arrived.
        issued_at: Timestamp,
        /// The item's version.
        item_version: u32,
    },
}

/// How many requests come before one in line, as far as they were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Those that wait.
    pub in_line: u32,
    /// Those that have not been looked at.
    pub new: u32,
}

/// The place that a loan takes among its requester's, by its flow's limit: as long as a link of it may open, also when it has ended. Who gives
/// one back and asks again would otherwise have more links at a time than the flow allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When it is over at the latest, its links included; of what has no link yet nobody knows.
    pub over: Option<Timestamp>,
    /// Whether the loan has ended.
    pub has_ended: bool,
}

impl Place {
    /// The place that this record's loan takes; none if it is a denied request's.
    pub fn of(record: &AccessRecordSpec) -> Option<Self> {
        if !is_of_a_loan(record) {
            return None;
        }
        let links = Links::of(record);
        let over = match &record.end {
            Some(_) => record.residual_until.as_ref().map(|until| until.0),
            None => links
                .access_end()
                .max(links.access_end().and(links.all_over())),
        };
        Some(Self {
            over,
            has_ended: record.end.is_some(),
        })
    }
}

/// What one requester has by one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Loans that run, and those that are over while a link of them may still open.
    pub active: u32,
    /// When the next of these is over at the latest, its links included, as far as that is known.
    pub next_over: Option<Timestamp>,
    /// Older requests that wait.
    pub pending: u32,
}

impl Usage {
    /// Counts a loan's place, if it has one at this time.
    pub fn count(&mut self, place: Place, now: Timestamp) {
        // One whose time is over runs until its end is written.
        let over = place.over.filter(|over| *over > now);
        if place.has_ended && over.is_none() {
            return;
        }
        self.active += 1;
        self.next_over = self.next_over.into_iter().chain(over).min();
    }

    /// How many loans count at this time. It was seen a moment before, when one of them may not have been over.
    pub fn active_at(&self, now: Timestamp) -> u32 {
        let over = self.next_over.is_some_and(|at| at <= now);
        self.active.saturating_sub(u32::from(over))
    }
}
