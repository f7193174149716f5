//! Observes one loan: from the watches, and live where a lagging watch would do harm.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::api::{AccessGrant, AccessRecord};
use crate::cluster::{
    ApiError, ApiErrorKind, Deleted, Key, Mark, ledger_of, link_objects, unlent_to,
};
use crate::controllers::registry::Asker;
use crate::plan::delivery::links::Links;
use crate::plan::effect::Effect;
use crate::plan::ended_loan::is_settled;
use crate::plan::grant::plan;
use crate::plan::loan::over_at;
use crate::plan::observed::{IntegrationSeen, LinkSeen, Observed};
use crate::plan::record::{is_of_a_loan, restored_by};

use super::key::LoanKey;
use super::loans::{Loans, integration_of, requester_of};

/// The number of each person's decisions of each kind that count on one request, newest first: a
/// person with more displaces only their own.
const HEARD: usize = 10;

/// How a link's Secret is observed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    /// From the watch, if it agrees with the record; otherwise live.
    AsTheyAre,
    /// From the watch.
    AsTold,
}

impl Loans {
    /// Everything that the plan needs to know about one loan.
    pub(super) async fn observe(&self, key: &LoanKey) -> Result<Observed, ApiError> {
        self.observe_by(key, Secrets::AsTheyAre).await
    }

    async fn observe_by(&self, key: &LoanKey, secrets: Secrets) -> Result<Observed, ApiError> {
        // A restored record may name any request, even one for an integration elsewhere.
        let this_one = |grant: &Arc<AccessGrant>| {
            grant.uid().as_deref() == Some(&key.uid) && ledger_of(grant) == key.ledger
        };
        let mut record = self.record_seen(key).await?;
        let mut grant = self.cluster.grants.get(&key.grant).filter(this_one);
        // A missing grant ends its loan, so a watch of grants that lags behind that of records must
        // not decide it.
        if let (None, Some(running)) = (&grant, record.as_ref().filter(|r| r.spec.end.is_none())) {
            grant = match self.cluster.grants.live(&key.grant).await {
                Ok(live) => live.filter(this_one),
                // The loan's time is over in any case.
                Err(_) if self.clock.now() >= over_at(running, self.clock.now()) => None,
                Err(error) => return Err(error),
            };
        }
        let on_it = Mark::GrantNamed(key.grant.clone());
        let decisions = self.cluster.decisions.newest(&on_it, HEARD);
        let history = record.is_none() && self.cluster.records.is_history(&key.record());
        if let (true, Some(request)) = (history, &grant)
            && !is_settled(request, &decisions, self.clock.now())
        {
            record = self.cluster.records.live(&key.record()).await?;
        }
        let link = match secrets {
            Secrets::AsTheyAre => self.link_seen(key, record.as_deref()).await,
            Secrets::AsTold => Ok(self.link_told(key)),
        };
        let mut seen = Observed {
            namespace_labels: self.cluster.namespace_labels(&key.grant.namespace),
            // The state of an unreadable Secret is unknown.
            link: link.clone().unwrap_or(LinkSeen::OutOfReach),
            attempt: self.memories.of(&key.uid).attempt(),
            undeleted: self.memories.of(&key.uid).undeleted(),
            links_namespace: self.cluster.install.links_namespace.clone(),
            unserved: !self.cluster.install.serves(&key.ledger),
            history: history && record.is_none(),
            grant,
            record,
            decisions,
            ..Observed::default()
        };
        let integration = integration_of(key, &seen);
        seen.integration = self.integration_seen(&integration, key, &seen);
        seen.flows = self.cluster.flows.select(|flow| {
            flow.namespace().as_deref() == Some(&key.ledger)
                && flow.spec.integration.0 == integration.name
        });
        if let (Some(grant), None, false) = (&seen.grant, &seen.record, seen.history) {
            (seen.usage, seen.ahead) = self.usage(key, grant, &seen.flows);
        }
        if seen.grant.is_none() && seen.record.is_none() && !seen.history {
            let gone = self.deleted.seen(key, self.clock.now());
            seen.gone = gone.map(|(grant, _)| grant);
        }
        seen.unlent = self.unlent(key, &seen);
        seen.boundary = self.boundary.seen();
        seen.checked = self.memories.of(&key.uid).checked();
        match link {
            // An API server that does not return Secrets must not keep a loan from ending.
            Err(error) if !self.is_over(&seen) => Err(error),
            _ => Ok(seen),
        }
    }

    /// The records of the requester's other requests that were not granted. A running loan does not
    /// need them.
    fn unlent(&self, key: &LoanKey, seen: &Observed) -> Vec<Arc<AccessRecord>> {
        let runs = seen.record.as_ref().is_some_and(|r| is_of_a_loan(&r.spec));
        let asked = seen.grant.as_ref().or(seen.gone.as_ref());
        let requester = asked.and_then(|grant| grant.spec.requester.as_ref());
        let (false, Some(requester)) = (runs, requester) else {
            return Vec::new();
        };
        let mut found = BTreeMap::new();
        for mark in unlent_to(requester) {
            for record in self.cluster.records.having(&mark) {
                found.insert(record.spec.grant.uid.clone(), record);
            }
        }
        found.remove(&key.uid);
        found.into_values().collect()
    }

    /// Whether a loan whose link has just been issued is to end, according to the current state.
    pub(super) async fn is_to_end(&self, key: &LoanKey) -> bool {
        // Nobody else writes the Secret before this pass does.
        let Ok(seen) = self.observe_by(key, Secrets::AsTold).await else {
            // If the request seems to be gone, a lost link does less harm than one that is handed
            // over.
            let told = self.cluster.grants.get(&key.grant);
            return told.is_none_or(|grant| grant.uid().as_deref() != Some(&key.uid));
        };
        plan(&seen, self.clock.now()).ends_issued()
    }

    fn is_over(&self, seen: &Observed) -> bool {
        let effect = plan(seen, self.clock.now()).effect;
        matches!(effect, Some(Effect::EndLoan(_)))
    }

    fn integration_seen(
        &self,
        integration: &Key,
        key: &LoanKey,
        seen: &Observed,
    ) -> Option<IntegrationSeen> {
        let object = self.cluster.integrations.get(integration)?;
        let (inventory, throttled_until) = self.registry.known(integration);
        let asker = Asker {
            requester: requester_of(seen),
            loan: &key.uid,
        };
        Some(IntegrationSeen {
            budget: self.registry.budget(&object, asker),
            object,
            inventory,
            throttled_until,
        })
    }

    /// Whether the Secret with the link of this grant is that of a loan in another ledger. A restored
    /// record may name any grant: it must not take the link of a loan of other owners.
    fn is_lent_elsewhere(&self, key: &LoanKey) -> bool {
        let of_it = Mark::GrantUid(key.uid.clone());
        let records = self.cluster.records.having(&of_it);
        let elsewhere = |record: &Arc<AccessRecord>| {
            record.namespace().as_deref() != Some(&key.ledger) && restored_by(record).is_none()
        };
        records.iter().any(elsewhere)
    }

    /// The Secret according to the watch.
    fn link_told(&self, key: &LoanKey) -> LinkSeen {
        let Some(mark) = self.cluster.secrets.get(&self.link(key)) else {
            return LinkSeen::Absent;
        };
        let memory = self.memories.of(&key.uid);
        match memory.deleted(&mark.uid().unwrap_or_default()) {
            Some(Deleted::Gone) => LinkSeen::Absent,
            Some(Deleted::Going) => LinkSeen::Kept,
            None => link_objects::seen(&mark.metadata, &self.cluster.install, &key.uid),
        }
    }

    /// The Secret according to the watch if that agrees with the record or there is none; otherwise
    /// live.
    async fn link_seen(
        &self,
        key: &LoanKey,
        record: Option<&AccessRecord>,
    ) -> Result<LinkSeen, ApiError> {
        if record.and_then(restored_by).is_some() && self.is_lent_elsewhere(key) {
            return Ok(LinkSeen::Foreign);
        }
        let memory = self.memories.of(&key.uid);
        let install = &self.cluster.install;
        let told = self.link_told(key);
        let is_expected = match record {
            Some(record) => {
                let is_over = record.spec.end.is_some();
                memory.is_in_reach() && (is_over || told.agrees_with(Links::of(&record.spec)))
            }
            None => memory.is_in_reach() || told == LinkSeen::Absent,
        };
        if is_expected {
            return Ok(told);
        }
        let live = self
            .cluster
            .verbs
            .get_metadata::<Secret>(&self.link(key))
            .await;
        memory.note_reach(!is_forbidden(&live));
        match live {
            Ok(Some(mark)) => Ok(link_objects::seen(&mark.metadata, install, &key.uid)),
            Ok(None) => Ok(LinkSeen::Absent),
            Err(_) if !memory.is_in_reach() => Ok(LinkSeen::OutOfReach),
            Err(error) => Err(error),
        }
    }
}

/// Whether the operator may not read: its permissions in the links namespace are gone.
pub(super) fn is_forbidden<T>(answer: &Result<T, ApiError>) -> bool {
    matches!(answer, Err(error) if matches!(error.kind, ApiErrorKind::Forbidden(_)))
}
