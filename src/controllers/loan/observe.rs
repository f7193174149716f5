//! Looking at one loan: from what the watches have told, and live where a lagging watch would do harm.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::api::{AccessGrant, AccessRecord, EndReason};
use crate::cluster::{ApiError, ApiErrorKind, Deleted, Key, Mark, denied_to, link_objects};
use crate::controllers::registry::Asker;
use crate::plan::effect::Effect;
use crate::plan::ended::is_settled;
use crate::plan::grant::plan;
use crate::plan::links::Links;
use crate::plan::loan::over_at;
use crate::plan::observed::{IntegrationSeen, LinkSeen, Observed};
use crate::plan::record::is_of_a_loan;

use super::{LoanKey, Loans, requester_of};

/// Of each person and kind of decision so many are heard on one request, the newest: whoever makes more buries their own only.
const HEARD: usize = 10;

/// By what a link's Secret is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    /// By what the watch has told, as far as that is what the record makes us expect; else as it is.
    AsTheyAre,
    /// By what the watch has told.
    AsTold,
}

impl Loans {
    /// All that the plan needs to know of one loan.
    pub(super) async fn observe(&self, key: &LoanKey) -> Result<Observed, ApiError> {
        self.observe_by(key, Secrets::AsTheyAre).await
    }

    async fn observe_by(&self, key: &LoanKey, secrets: Secrets) -> Result<Observed, ApiError> {
        let this_one =
            |grant: &std::sync::Arc<AccessGrant>| grant.uid().as_deref() == Some(&key.uid);
        let mut record = self.record_seen(key).await?;
        let mut grant = self.cluster.grants.get(&key.grant).filter(this_one);
        // One that is gone ends its loan: a watch of grants that lags behind that of records must not.
        if let (None, Some(running)) = (&grant, record.as_ref().filter(|r| r.spec.end.is_none())) {
            grant = match self.cluster.grants.live(&key.grant).await {
                Ok(live) => live.filter(this_one),
                // Its time is over in any case.
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
            // Of what cannot be read nobody knows.
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
        let integration = super::integration_of(key, &seen);
        seen.integration = self.integration_seen(&integration, key, &seen);
        seen.flows = self.cluster.flows.select(|flow| {
            flow.namespace().as_deref() == Some(&key.ledger)
                && flow.spec.integration.0 == integration.name
        });
        if let (Some(grant), None, false) = (&seen.grant, &seen.record, seen.history) {
            (seen.usage, seen.ahead) = self.usage(key, grant, &seen.flows);
        }
        if seen.grant.is_none() && seen.record.is_none() && !seen.history {
            let gone = self.gone.seen(key, self.clock.now());
            seen.gone = gone.map(|(grant, _)| grant);
        }
        seen.denials = self.denials(key, &seen);
        seen.boundary = self.boundary.seen();
        seen.checked = self.memories.of(&key.uid).checked();
        match link {
            // An API server that does not tell of Secrets must not keep a loan from ending.
            Err(error) if !self.is_over(&seen) => Err(error),
            _ => Ok(seen),
        }
    }

    /// The records of the requester's other requests that were denied. A loan that runs does not ask for them.
    fn denials(&self, key: &LoanKey, seen: &Observed) -> Vec<Arc<AccessRecord>> {
        let runs = seen.record.as_ref().is_some_and(|r| is_of_a_loan(&r.spec));
        let asked = seen.grant.as_ref().or(seen.gone.as_ref());
        let requester = asked.and_then(|grant| grant.spec.requester.as_ref());
        let (false, Some(requester)) = (runs, requester) else {
            return Vec::new();
        };
        let mut found = BTreeMap::new();
        for mark in denied_to(requester) {
            for record in self.cluster.records.having(&mark) {
                found.insert(record.spec.grant.uid.clone(), record);
            }
        }
        found.remove(&key.uid);
        found.into_values().collect()
    }

    /// Whether a loan whose link has just been made is to end, by what is known now.
    pub(super) async fn is_to_end(&self, key: &LoanKey) -> bool {
        // Nobody else writes the Secret before this pass does.
        let Ok(seen) = self.observe_by(key, Secrets::AsTold).await else {
            // Where its request seems to be gone, a link that is lost harms less than one that is handed over.
            let told = self.cluster.grants.get(&key.grant);
            return told.is_none_or(|grant| grant.uid().as_deref() != Some(&key.uid));
        };
        match plan(&seen, self.clock.now()).effect {
            Some(Effect::DeleteLink) => true,
            // Until its Secret is there, it looks as if no link could be issued in time.
            Some(Effect::EndLoan { end, .. }) => end.reason != EndReason::NotIssued,
            _ => false,
        }
    }

    fn is_over(&self, seen: &Observed) -> bool {
        let effect = plan(seen, self.clock.now()).effect;
        matches!(effect, Some(Effect::EndLoan { .. }))
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

    /// The Secret as the watch has told it.
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

    /// The Secret as the watch has told it, if that is what the record makes us expect, or there is none; else as it is.
    async fn link_seen(
        &self,
        key: &LoanKey,
        record: Option<&AccessRecord>,
    ) -> Result<LinkSeen, ApiError> {
        let memory = self.memories.of(&key.uid);
        let install = &self.cluster.install;
        let told = self.link_told(key);
        let is_expected = match record {
            Some(record) => {
                let is_over = record.spec.end.is_some();
                memory.is_in_reach() && (is_over || is_expected(record, &told))
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

/// Whether a Secret is there just if the record has a current link, and holds that one.
fn is_expected(record: &AccessRecord, link: &LinkSeen) -> bool {
    let links = Links::of(&record.spec);
    let there = match link {
        LinkSeen::Present { sequence, .. } => Some(*sequence),
        LinkSeen::Absent | LinkSeen::Foreign | LinkSeen::Kept | LinkSeen::OutOfReach => None,
    };
    links.open().is_none() && links.current().map(|link| link.sequence) == there
}

/// Whether the operator has no right to look: its rights in the links namespace are gone.
pub(super) fn is_forbidden<T>(answer: &Result<T, ApiError>) -> bool {
    matches!(answer, Err(error) if matches!(error.kind, ApiErrorKind::Forbidden(_)))
}
