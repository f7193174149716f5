//! One pass over a loan: looks at its grant and record, has the plan decide, does at most one thing, and says how the loan stands.

use std::sync::Arc;

use kube::ResourceExt;
use kube::api::ObjectMeta;

use crate::api::{AccessGrant, AccessGrantStatus, AccessRecord, AccessRecordSpec, Phase};
use crate::cluster::{ApiError, ApiErrorKind};
use crate::controllers::registry::Search;
use crate::plan::effect::{Effect, Plan};
use crate::plan::grant::plan;
use crate::plan::observed::Observed;
use crate::plan::record::is_in_its_ledger;
use crate::plan::request_state::RequestState;
use crate::plan::status::of_failed_pass;
use crate::runtime::Outcome;

use super::delivery::{Issuing, Meanwhile};
use super::key::LoanKey;
use super::loans::Loans;

impl Loans {
    /// Runs one pass over one loan.
    pub async fn pass(self: Arc<Self>, key: LoanKey) -> Outcome {
        match self.look(&key).await {
            Ok(outcome) => outcome,
            // Another writer was faster, or the cache is stale: the watch brings the new state.
            Err(error)
                if matches!(
                    error.kind,
                    ApiErrorKind::Conflict | ApiErrorKind::AlreadyExists
                ) =>
            {
                tracing::debug!(grant = %key.grant, %error, "the cached object is stale; reading \
                     it again");
                self.refresh(&key).await
            }
            Err(error) => {
                tracing::warn!(grant = %key.grant, %error, "a pass failed; retrying");
                self.say_why(&key, &error).await;
                Outcome::Failed
            }
        }
    }

    /// Writes into the status why a pass fails, if a person has to act and a status can be written.
    async fn say_why(&self, key: &LoanKey, error: &ApiError) {
        let grant = self.cluster.grants.get(&key.grant);
        let this_one = |grant: &Arc<AccessGrant>| grant.uid().as_deref() == Some(&key.uid);
        let Some(grant) = grant.filter(this_one) else {
            return;
        };
        if error.kind.is_refusal() && self.cluster.install.serves(&key.ledger) {
            let status = of_failed_pass(&grant, &error.to_string(), self.clock.now());
            self.cluster.grants.patch_status(&grant, &status).await.ok();
        }
    }

    pub(super) async fn look(self: &Arc<Self>, key: &LoanKey) -> Result<Outcome, ApiError> {
        let (since, come_up) = (self.clock.now(), self.turn_come_up(key));
        if !self.concerns(key) {
            return Ok(Outcome::Gone);
        }
        if let Some(grant) = self.turned_away(key) {
            return self.forget_soon(key, &grant).await;
        }
        let mut seen = self.observe(key).await?;
        if seen.unserved && !seen.record.as_ref().is_some_and(|r| self.has_lent(r)) {
            return Ok(Outcome::Gone);
        }
        // Somebody else has made it: no record of the operator's is there.
        if seen.record.as_ref().is_some_and(|r| !is_in_its_ledger(r)) {
            return Ok(Outcome::Gone);
        }
        let doubtful_until = self.places.in_doubt_until(key);
        if seen.grant.is_none() && seen.record.is_none() && seen.gone.is_none() {
            if doubtful_until.is_some() {
                return Ok(Outcome::Waiting(doubtful_until));
            }
            self.memories.forget(&key.uid);
            self.ask_each(self.waiting.forget(key));
            return Ok(Outcome::Gone);
        }
        let mut planned = plan(&seen, self.clock.now());
        // Two requests must not both get the last place: only one at a time looks and takes it.
        let mut turn = None;
        if let Some(requester) = takes_place(&seen, &planned) {
            turn = Some(self.places.turn(&requester).await);
            seen = self.observe(key).await?;
            planned = plan(&seen, self.clock.now());
        }
        let Plan {
            effect,
            status,
            wake,
            events,
        } = planned;
        if let Some(grant) = &seen.grant {
            self.ask_each(self.waiting.note(key, grant, status.as_ref()));
        }
        let unlent = match &effect {
            Some(Effect::RecordUnlent(record)) => Some(record.as_ref()),
            _ => None,
        };
        if seen.grant.is_none() && seen.record.is_none() {
            self.count_deleted(key, unlent);
        }
        if let Some(effect) = effect {
            // An effect that takes a place waits for a turn of its own.
            drop(turn.take());
            let meanwhile = Meanwhile {
                status,
                wake,
                events,
                since,
                come_up,
            };
            return Box::pin(self.execute(key, seen, effect, meanwhile)).await;
        }
        if let (Some(grant), Some(status)) = (&seen.grant, status) {
            match self
                .cluster
                .grants
                .patch_status(grant.as_ref(), &status)
                .await
            {
                Ok(true) => {
                    self.events.tell(events);
                    if seen.record.is_none() {
                        self.count_status(grant, &status);
                    }
                    note_denial(key, grant, &status);
                    self.give_up_place(grant, &status);
                }
                Ok(false) => {}
                Err(error) if error.kind == ApiErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if self.cluster.records.is_history(&key.record()) || self.has_become_history(key) {
            self.memories.forget(&key.uid);
            self.ask_each(self.waiting.forget(key));
            if seen.grant.is_none() {
                return Ok(Outcome::Gone);
            }
        }
        let gone_until = self.deleted.seen(key, self.clock.now());
        let gone_until = gone_until.map(|(_, until)| until);
        Ok(Outcome::Waiting(
            [wake, doubtful_until, gone_until]
                .into_iter()
                .flatten()
                .min(),
        ))
    }

    /// A loan that needs no more work is not kept in memory.
    fn has_become_history(&self, key: &LoanKey) -> bool {
        self.cluster.records.archive(&key.record())
    }

    /// The request, if it was turned away: only its uid is kept, and nothing is looked up for it
    /// any longer.
    fn turned_away(&self, key: &LoanKey) -> Option<Arc<AccessGrant>> {
        let grant = self.cluster.grants.get(&key.grant)?;
        let is_it = grant.uid().as_deref() == Some(&key.uid);
        (is_it && RequestState::was_turned_away(&grant)).then_some(grant)
    }

    async fn forget_soon(&self, key: &LoanKey, grant: &AccessGrant) -> Result<Outcome, ApiError> {
        self.memories.forget(&key.uid);
        self.ask_each(self.waiting.forget(key));
        let until = RequestState::of(grant).turned_away_until();
        if until.is_none_or(|until| until > self.clock.now()) {
            return Ok(Outcome::Waiting(until));
        }
        self.cluster.grants.delete(grant).await?;
        Ok(Outcome::Applied)
    }

    /// Reads from the API server itself what a conflict has shown to be stale in the cache.
    async fn refresh(&self, key: &LoanKey) -> Outcome {
        match self.cluster.records.live(&key.record()).await {
            Ok(_) => Outcome::Applied,
            Err(error) => {
                tracing::warn!(grant = %key.grant, %error, "a pass failed; retrying");
                Outcome::Failed
            }
        }
    }

    async fn execute(
        self: &Arc<Self>,
        key: &LoanKey,
        seen: Observed,
        effect: Effect,
        meanwhile: Meanwhile,
    ) -> Result<Outcome, ApiError> {
        let (wake, since) = (meanwhile.wake, meanwhile.since);
        let memory = self.memories.of(&key.uid);
        let done = match effect {
            Effect::ListVault { vault, looking_for } => {
                let search = Search {
                    vault: &vault,
                    looking_for: &looking_for,
                    since,
                };
                return Ok(self.list_vault(key, &seen, search, wake).await);
            }
            Effect::CheckBoundary => {
                self.have_vouched(key, &seen);
                return Ok(Outcome::Waiting(wake));
            }
            Effect::IssueLink(issue) => {
                return Box::pin(self.issue_in_turn(key, seen, *issue, meanwhile)).await;
            }
            Effect::FinishLink(closing) => {
                let Some(record) = &seen.record else {
                    return Ok(Outcome::Applied);
                };
                let record = record.clone();
                let issuing = Issuing::of(self, key, seen);
                issuing.finish(&record, &closing).await
            }
            Effect::DeleteLink => self.delete_link(key, &seen, &memory).await,
            Effect::EndLoan(end) => {
                let Some(record) = &seen.record else {
                    return Ok(Outcome::Applied);
                };
                let ended = serde_json::json!(end.applied(&record.spec));
                // An empty list is left out, as in the type: otherwise, who reads a record and writes
                // it back as it is would change it.
                let change = serde_json::json!({ "spec": {
                    "end": ended["end"], "residualUntil": ended["residualUntil"],
                    "links": ended["links"], "decisions": ended["decisions"],
                } });
                let records = self.cluster.records.urgent();
                records.swap(record.as_ref(), change).await?;
                self.count_end(key, &record.spec, &end);
                self.events.tell(meanwhile.events);
                Ok(())
            }
            Effect::RecordUnlent(record) => self.record_unlent(key, *record).await,
            Effect::DeleteGrant => match &seen.grant {
                Some(grant) => self.cluster.grants.delete(grant.as_ref()).await,
                None => Ok(()),
            },
            Effect::DeleteRecord => match &seen.record {
                Some(record) => self.cluster.records.delete(record.as_ref()).await,
                None => Ok(()),
            },
        };
        done.map(|()| Outcome::Applied)
    }

    async fn record_unlent(&self, key: &LoanKey, spec: AccessRecordSpec) -> Result<(), ApiError> {
        let record = AccessRecord {
            metadata: ObjectMeta {
                name: Some(key.uid.clone()),
                namespace: Some(key.ledger.clone()),
                ..ObjectMeta::default()
            },
            spec,
        };
        self.cluster.records.create(&record).await?;
        self.deleted.forget(key);
        Ok(())
    }

    /// Checks the boundary, and then remembers the verified objects: those that exist by now and
    /// are younger than the last change. The loan is looked at again once the state of the boundary
    /// is known.
    fn have_vouched(self: &Arc<Self>, key: &LoanKey, seen: &Observed) {
        let grant = seen.grant.iter().map(|grant| &grant.metadata);
        let decisions = seen.decisions.iter().map(|decision| &decision.metadata);
        let there: Vec<_> = grant
            .chain(decisions)
            .filter_map(|meta| {
                let made = meta.creation_timestamp.as_ref().map(|time| time.0);
                Some((meta.uid.clone()?, made))
            })
            .collect();
        let (loans, key) = (Arc::downgrade(self), key.clone());
        self.boundary.check(&key.uid.clone(), move |answer| {
            let Some(loans) = loans.upgrade() else { return };
            match answer {
                Ok(()) => {
                    let changed_at = loans.boundary.seen().changed_at;
                    let vouched = there.into_iter().filter(|(_, made)| {
                        changed_at.is_none_or(|changed| made.is_some_and(|made| made > changed))
                    });
                    let memory = loans.memories.of(&key.uid);
                    memory.note_checked(vouched.map(|(uid, _)| uid));
                }
                Err(why) => {
                    tracing::warn!(grant = %key.grant, %why, "the identity of the requester or of an approver is not verified");
                }
            }
            loans.go_on(key);
        });
    }
}

/// The requester of a request that gets its place among those that wait for approval by this plan.
fn takes_place(seen: &Observed, planned: &Plan) -> Option<String> {
    let (grant, status) = (seen.grant.as_ref()?, planned.status.as_ref()?);
    let (before, after) = (RequestState::of(grant), RequestState::shown(status));
    let takes = planned.effect.is_none()
        && before != RequestState::HasPlace
        && after == RequestState::HasPlace;
    let requester = grant.spec.requester.as_ref().filter(|_| takes)?;
    Some(requester.username.clone())
}

/// The log contains each denial, even if so many of the requester's are recorded already that this
/// one is not.
fn note_denial(key: &LoanKey, grant: &AccessGrant, status: &AccessGrantStatus) {
    let before = grant.status.as_ref().and_then(|s| s.phase);
    if status.phase == Some(Phase::Denied) && before != status.phase {
        let requester = grant.spec.requester.as_ref();
        let requester = requester.map_or("", |by| &by.username);
        tracing::info!(grant = %key.grant, uid = key.uid, requester, "a request was denied or withdrawn");
    }
}
