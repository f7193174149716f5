//! Wakes loans: each change that a loan's plan depends on schedules a pass, so that nothing has to be polled. Loans about to end precede
//! links that exist, renewals, and requests, in this order.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;

use crate::api::{
    AccessDecision, AccessFlow, AccessGrant, AccessRecord, Decision, OnePasswordIntegration, Phase,
};
use crate::cluster::link_objects::grant_uid;
use crate::cluster::{Key, Mark, SecretMetadata, ledger_of};
use crate::plan::delivery::links::Links;
use crate::plan::loan::over_at;
use crate::plan::record::is_of_a_loan;
use crate::plan::request_state::RequestState;
use crate::plan::unlent::is_denied;
use crate::runtime::{Class, Urgency, WorkQueue};

use super::key::LoanKey;
use super::loans::Loans;

/// The number of decisions of each person that are looked at.
const LOOKED_AT: usize = 1;

impl Loans {
    /// Schedules a pass whenever something changes that the loan's plan depends on. Subscribe
    /// before the watches start.
    pub fn subscribe(self: &Arc<Self>, passes: &WorkQueue<LoanKey>) {
        // There is one queue.
        self.passes.set(passes.clone()).ok();
        let (loans, cluster) = (Arc::downgrade(self), &self.cluster);
        cluster
            .grants
            .subscribe(noticed(&loans, Self::grant_changed));
        cluster
            .records
            .subscribe(noticed(&loans, |loans, record: &AccessRecord| {
                loans.ask(LoanKey::of_record(record));
                if record.spec.end.is_some() {
                    let flow = &record.spec.terms.flow;
                    let place = (flow.namespace.as_str(), flow.name.as_str());
                    loans.ask_waiting(&record.spec.requester.username, Some(place));
                }
                if is_denied(record) {
                    loans.tell_of_a_denial(record);
                }
            }));
        cluster
            .secrets
            .subscribe(noticed(&loans, |loans, secret: &SecretMetadata| {
                let keys = loans.of_secret(secret);
                keys.into_iter().for_each(|key| loans.ask(key));
            }));
        cluster
            .decisions
            .subscribe(noticed(&loans, |loans, decision: &AccessDecision| {
                let keys = loans.of_decision(decision);
                keys.into_iter().for_each(|key| loans.ask(key));
            }));
        cluster.namespaces.subscribe(noticed(
            &loans,
            |loans, namespace: &PartialObjectMeta<Namespace>| {
                let here = Mark::Namespace(namespace.name_any());
                loans.ask_requests(loans.cluster.grants.having(&here));
            },
        ));
        cluster.integrations.subscribe(noticed(
            &loans,
            |loans, integration: &OnePasswordIntegration| {
                loans.ask_all(&Key::of(integration));
            },
        ));
        cluster
            .flows
            .subscribe(noticed(&loans, |loans, flow: &AccessFlow| {
                let namespace = flow.namespace().unwrap_or_default();
                loans.ask_all(&Key::new(namespace, &flow.spec.integration.0));
            }));
        let boundary_changed = noticed(&loans, |loans, ()| {
            loans.ask_requests(loans.cluster.grants.select(|_| true));
        });
        self.boundary.subscribe(move || boundary_changed(&()));
    }

    /// All loans: of grants, whether they are loans yet or not, and of records, whether their
    /// grants exist or not.
    pub fn keys(&self) -> HashSet<LoanKey> {
        let grants = self.cluster.grants.select(|_| true);
        let records = self.cluster.records.select(|_| true);
        let of_grants = grants.iter().map(|grant| LoanKey::of_grant(grant));
        let of_records = records.iter().map(|record| LoanKey::of_record(record));
        of_grants.chain(of_records).collect()
    }

    fn grant_changed(&self, grant: &AccessGrant) {
        self.ask(LoanKey::of_grant(grant));
        // The watch reports the last state of a grant that is gone: it may have been waiting until
        // the end.
        let known = self.cluster.grants.get(&Key::of(grant));
        let is_there = known.is_some_and(|known| known.uid() == grant.uid());
        let phase = grant.status.as_ref().and_then(|s| s.phase);
        // A request that was never processed has taken nobody's place yet,
        let waits = is_there && phase.is_none_or(|phase| phase == Phase::Pending);
        // and one that was turned away took none.
        let leaves_a_place = !waits && !RequestState::was_turned_away(grant);
        let terms = grant.status.as_ref().and_then(|s| s.terms.as_ref());
        if let (true, Some(by), Some(terms)) = (leaves_a_place, &grant.spec.requester, terms) {
            let place = (ledger_of(grant), terms.flow.name.as_str());
            self.ask_waiting(&by.username, Some(place));
        }
        let key = LoanKey::of_grant(grant);
        let is_recorded = self.cluster.records.get(&key.record()).is_some()
            || self.cluster.records.is_history(&key.record());
        if !is_there && !is_recorded {
            self.deleted.note(key.clone(), grant, self.clock.now());
            self.ask(key);
        }
    }

    /// People who decide about another request of this person for this item see the denial.
    fn tell_of_a_denial(&self, record: &AccessRecord) {
        let with_terms = Mark::WithPlace(record.spec.requester.username.clone());
        let mut others = self.cluster.grants.having(&with_terms);
        others.retain(|grant| {
            let terms = grant.status.as_ref().and_then(|s| s.terms.as_ref());
            terms.is_some_and(|terms| terms.item.id == record.spec.terms.item.id)
        });
        self.ask_requests(others);
    }

    /// The loans that a link's Secret may belong to: one, unless a record was written by hand.
    fn of_secret(&self, secret: &SecretMetadata) -> Vec<LoanKey> {
        let Some(uid) = grant_uid(&secret.metadata, &self.cluster.install) else {
            return Vec::new();
        };
        let of_it = Mark::GrantUid(uid.to_owned());
        let records = self.cluster.records.having(&of_it);
        let keys = records.iter().map(|record| LoanKey::of_record(record));
        keys.collect()
    }

    /// The loan of the grant that a decision names, even if the decision is about an earlier grant
    /// of that name, because the status reports it; and the earlier one.
    fn of_decision(&self, decision: &AccessDecision) -> Vec<LoanKey> {
        let namespace = decision.namespace().unwrap_or_default();
        let named = Key::new(namespace, &decision.spec.grant);
        let there = self.cluster.grants.get(&named);
        let there = there.map(|grant| LoanKey::of_grant(&grant));
        let gone = self.deleted.of_uid(&decision.spec.grant_uid);
        there.into_iter().chain(gone).collect()
    }

    /// Schedules passes for those that are not loans yet.
    fn ask_requests(&self, grants: Vec<Arc<AccessGrant>>) {
        let is_request = |grant: &&Arc<AccessGrant>| {
            let status = grant.status.as_ref();
            status.is_none_or(|s| s.granted_at.is_none()) && !RequestState::was_turned_away(grant)
        };
        let requests = grants.iter().filter(is_request);
        requests.for_each(|grant| self.ask(LoanKey::of_grant(grant)));
    }

    /// Schedules passes for all loans of an integration.
    fn ask_all(&self, integration: &Key) {
        let of_it = self.cluster.grants.select(|grant| {
            let key = LoanKey::of_grant(grant);
            key.ledger == integration.namespace
                && grant.spec.integration.name.0 == integration.name
                && !RequestState::was_turned_away(grant)
        });
        of_it
            .iter()
            .for_each(|grant| self.ask(LoanKey::of_grant(grant)));
    }

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

/// The reaction to a reported change, as long as the controller exists.
fn noticed<K>(
    loans: &Weak<Loans>,
    act: impl Fn(&Loans, &K) + Send + Sync + 'static,
) -> impl Fn(&K) + Send + Sync + 'static {
    let loans = loans.clone();
    move |noticed| {
        if let Some(loans) = loans.upgrade() {
            act(&loans, noticed);
        }
    }
}
