//! The urgency of a pass over a loan: loans about to end precede links that exist, renewals, and
//! requests, in this order.

use kube::ResourceExt;

use super::{LoanKey, Loans};
use crate::api::{AccessRecord, Decision};
use crate::cluster::Mark;
use crate::plan::links::Links;
use crate::plan::loan::over_at;
use crate::plan::record::is_of_a_loan;
use crate::runtime::{Class, Urgency};

/// The number of decisions of each person that are looked at.
const LOOKED_AT: usize = 1;

impl Loans {
    /// The class of a pass over this loan, from what is known without further lookups.
    pub fn class(&self, key: &LoanKey) -> Class {
        let record = self.cluster.records.get(&key.record());
        let Some(record) = record.filter(|record| is_of_a_loan(&record.spec)) else {
            if self.cluster.records.is_history(&key.record()) {
                return Class::of(Urgency::Routine);
            }
            let grant = self.cluster.grants.get(&key.grant);
            let requester = grant.and_then(|grant| Some(grant.spec.requester.clone()?.username));
            return Class {
                urgency: Urgency::Request,
                owner: requester.unwrap_or_default(),
            };
        };
        Class {
            urgency: self.of_loan(key, &record),
            owner: record.spec.requester.username.clone(),
        }
    }

    fn of_loan(&self, key: &LoanKey, record: &AccessRecord) -> Urgency {
        let secret_is_there = || self.cluster.secrets.get(&self.link(key)).is_some();
        if record.spec.end.is_some() {
            return match secret_is_there() {
                true => Urgency::Ending,
                false => Urgency::Routine,
            };
        }
        let grant = self.cluster.grants.get(&key.grant);
        let is_there = grant.is_some_and(|grant| {
            grant.uid().as_deref() == Some(&key.uid) && grant.metadata.deletion_timestamp.is_none()
        });
        let on_it = Mark::GrantNamed(key.grant.clone());
        let decisions = self.cluster.decisions.newest(&on_it, LOOKED_AT);
        let is_to_end = decisions.iter().any(|decision| {
            decision.spec.decision == Decision::Revoke && decision.spec.grant_uid == key.uid
        });
        let now = self.clock.now();
        if !is_there || is_to_end || over_at(record, now) <= now {
            return Urgency::Ending;
        }
        match Links::of(&record.spec).open() {
            Some(_) => Urgency::HandOver,
            None => Urgency::Renewal,
        }
    }
}
