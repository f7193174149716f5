//! The observed state of one loan, from which its plan is made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::{
    AccessDecision, AccessFlow, AccessGrant, AccessRecord, AccessRecordSpec,
    OnePasswordIntegration, Person, SecretReference, link_name,
};

use super::boundary::BoundarySeen;
use super::delivery::failure::{Attempt, Undeleted};
use super::delivery::links::Links;
use super::inventory::Inventory;
use super::people::blocked_by;
use super::quota::Budget;
use super::record::is_of_a_loan;

/// The observed state of one loan.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The request; `None` once it is deleted.
    pub grant: Option<Arc<AccessGrant>>,
    /// The loan's record, once there is one.
    pub record: Option<Arc<AccessRecord>>,
    /// There is a record, but it is only history; its content is in the request's status.
    pub history: bool,
    /// The labels of the grant's namespace.
    pub namespace_labels: BTreeMap<String, String>,
    /// The flows of the integration.
    pub flows: Vec<Arc<AccessFlow>>,
    /// The integration.
    pub integration: Option<IntegrationSeen>,
    /// The Secret with the link. It is read live where it matters, because caches lag.
    pub link: LinkSeen,
    /// The requester's usage of each flow (by uid), without this loan.
    pub usage: BTreeMap<String, Usage>,
    /// The requester's requests that precede this one in line.
    pub ahead: Ahead,
    /// The records of the requester's other requests that were not granted.
    pub unlent: Vec<Arc<AccessRecord>>,
    /// The last state of a request that is gone and has no record, for some minutes.
    pub gone: Option<Arc<AccessGrant>>,
    /// The decisions that name this grant, by name: each person's newest ones.
    pub decisions: Vec<Arc<AccessDecision>>,
    /// Whether the API server verifies requesters and approvers.
    pub boundary: BoundarySeen,
    /// The uids of the request and of the decisions that existed when the last passed check of the
    /// boundary began.
    pub checked: BTreeSet<String>,
    /// The failure of the last attempt to issue a link, if it failed.
    pub attempt: Option<Attempt>,
    /// The failure of the last attempt to delete the link's Secret, if it failed.
    pub undeleted: Option<Undeleted>,
    /// The namespace in which links are kept.
    pub links_namespace: String,
    /// This installation no longer serves the integration's namespace: its loans run out.
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

    /// The people whom the integration's owners have blocked.
    pub fn blocked(&self) -> &[Person] {
        let integration = self.integration.as_ref();
        integration.map_or(&[], |seen| blocked_by(&seen.object))
    }
}

/// The observed state of the integration.
#[derive(Clone, Debug)]
pub struct IntegrationSeen {
    /// The object, with its status.
    pub object: Arc<OnePasswordIntegration>,
    /// The vaults and overviews, if they were listed since the operator started.
    pub inventory: Option<Arc<Inventory>>,
    /// 1Password has asked the operator to wait until this time.
    pub throttled_until: Option<Timestamp>,
    /// The remaining request limits for a link of this loan.
    pub budget: Budget,
}

/// The observed state of the Secret with the link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LinkSeen {
    /// The Secret does not exist.
    #[default]
    Absent,
    /// A Secret of that name exists and is not Keyloan's.
    Foreign,
    /// The Secret is Keyloan's and was deleted, but a finalizer keeps it.
    Kept,
    /// The state is unknown: the operator may not read the links namespace, or got no answer.
    OutOfReach,
    /// The Secret exists.
    Present {
        /// The number of the link that it holds.
        sequence: u32,
        /// The time at which 1Password's answer with the link arrived.
        issued_at: Timestamp,
        /// The item's version.
        item_version: u32,
    },
}

impl LinkSeen {
    /// Whether the Secret exists exactly if the record has a current link, and holds that link. If
    /// not, the observed state of one of them may be out of date.
    pub fn agrees_with(&self, links: Links<'_>) -> bool {
        let held = match self {
            Self::Present { sequence, .. } => Some(*sequence),
            Self::Absent | Self::Foreign | Self::Kept | Self::OutOfReach => None,
        };
        links.open().is_none() && links.current().map(|link| link.sequence) == held
    }
}

/// The number of requests that precede one in line, as far as they were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Requests that wait.
    pub in_line: u32,
    /// Requests that have not been processed.
    pub new: u32,
}

/// The place that a loan takes among its requester's loans, for the flow's limit. It lasts as long
/// as a link of the loan may open, even after the loan has ended. Otherwise, a person who ends a
/// loan and requests it again would have more links at a time than the flow allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The time by which the place is free, including the loan's links; `None` if there is no link
    /// yet.
    pub over: Option<Timestamp>,
    /// Whether the loan has ended.
    pub has_ended: bool,
}

impl Place {
    /// The place of this record's loan; `None` for a request that was not granted.
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

/// One requester's usage of one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Running loans, and ended ones with a link that may still open.
    pub active: u32,
    /// The time by which the next of these is over, including its links, if known.
    pub next_over: Option<Timestamp>,
    /// Older pending requests.
    pub pending: u32,
}

impl Usage {
    /// Counts a loan's place if it has one at this time.
    pub fn count(&mut self, place: Place, now: Timestamp) {
        // A loan whose time is over counts as running until its end is written.
        let over = place.over.filter(|over| *over > now);
        if place.has_ended && over.is_none() {
            return;
        }
        self.active += 1;
        self.next_over = self.next_over.into_iter().chain(over).min();
    }

    /// The number of loans that count at this time. The usage was observed a moment before, and one
    /// of the loans may be over since.
    pub fn active_at(&self, now: Timestamp) -> u32 {
        let over = self.next_over.is_some_and(|at| at <= now);
        self.active.saturating_sub(u32::from(over))
    }
}
