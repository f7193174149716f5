//! The loan controller: looks at a grant and its record, has the plan decide, does at most one thing, and says how it stands.
//!
//! A loan is known by its grant's uid and stays known when the grant is gone, so that its end never depends on the grant.

mod decisions;
mod due;
mod gone;
mod hand_over;
mod in_turn;
mod intent;
mod issue;
mod key;
mod link_place;
mod memory;
mod observe;
mod places;
mod rivals;
mod take_back;
mod urgency;
mod wake;
mod words;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ObjectMeta;

use crate::api::{AccessGrant, AccessGrantStatus, AccessRecord, AccessRecordSpec, Phase};
use crate::cluster::{ApiError, ApiErrorKind, Cluster, Events, Key, Notice};
use crate::plan::effect::{Effect, Note, Plan};
use crate::plan::grant::plan;
use crate::plan::observed::Observed;
use crate::plan::over::{is_turned_away, turned_away_until};
use crate::plan::status::of_failed_pass;
use crate::runtime::{Clock, Outcome, Tasks, WorkQueue};

use super::boundary::Boundary;
use super::registry::{AtWork, Registry, Search};
use gone::Gone;
pub use hand_over::LINK_HELD_FOR;
use issue::Issuing;
pub use key::LoanKey;
use memory::Memories;
use places::Places;
use rivals::Rivals;

/// What belongs to a plan with an effect, besides that.
struct Meanwhile {
    /// How the grant stands while it is done.
    status: Option<AccessGrantStatus>,
    wake: Option<Timestamp>,
    /// The plan was made from what was known then.
    since: Timestamp,
    /// A turn at 1Password, if one has come up. If it is not wanted any more, it is the next one's.
    come_up: Option<AtWork>,
}

/// What passes over loans share.
pub struct Loans {
    cluster: Arc<Cluster>,
    registry: Arc<Registry>,
    clock: Clock,
    events: Events,
    memories: Memories,
    rivals: Rivals,
    boundary: Arc<Boundary>,
    places: Places,
    gone: Gone,
    passes: OnceLock<WorkQueue<LoanKey>>,
    /// Turns at 1Password that have come up and are not taken yet.
    turns: Mutex<HashMap<LoanKey, AtWork>>,
    tasks: Tasks,
}

impl Loans {
    /// A controller over this cluster's loans.
    pub fn new(
        cluster: Arc<Cluster>,
        registry: Arc<Registry>,
        boundary: Arc<Boundary>,
        clock: Clock,
        events: Events,
        tasks: Tasks,
    ) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            registry,
            clock,
            events,
            memories: Memories::default(),
            rivals: Rivals::default(),
            boundary,
            places: Places::default(),
            gone: Gone::default(),
            passes: OnceLock::new(),
            turns: Mutex::default(),
            tasks,
        })
    }

    /// Looks at one loan once.
    pub async fn pass(self: Arc<Self>, key: LoanKey) -> Outcome {
        match self.look(&key).await {
            Ok(outcome) => outcome,
            // Somebody else was faster, or our view is old: the watch brings what is new.
            Err(error)
                if matches!(
                    error.kind,
                    ApiErrorKind::Conflict | ApiErrorKind::AlreadyExists
                ) =>
            {
                tracing::debug!(grant = %key.grant, %error, "seen something old; looking again");
                self.refresh(&key).await
            }
            Err(error) => {
                tracing::warn!(grant = %key.grant, %error, "a pass failed; it is repeated");
                self.say_why(&key, &error).await;
                Outcome::Failed
            }
        }
    }

    /// Writes into the status why a pass fails, as far as somebody has to mend that, and as far as a status can be written.
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

    /// The namespace and name of the Secret, the Role and the RoleBinding of a loan.
    fn link(&self, key: &LoanKey) -> Key {
        self.cluster.install.link(&key.uid)
    }

    /// Whether this install has to do with a loan: it serves the integration's namespace, or has lent it while it did.
    fn concerns(&self, key: &LoanKey) -> bool {
        if self.cluster.install.serves(&key.ledger) {
            return true;
        }
        let records = &self.cluster.records;
        match records.get(&key.record()) {
            Some(record) => self.has_lent(&record),
            // Whose it is shows once it is read.
            None => records.is_history(&key.record()),
        }
    }

    fn has_lent(&self, record: &AccessRecord) -> bool {
        record.spec.install.as_ref() == Some(&self.cluster.install.name)
    }

    async fn look(self: &Arc<Self>, key: &LoanKey) -> Result<Outcome, ApiError> {
        let (since, come_up) = (self.clock.now(), self.turn_come_up(key));
        if !self.concerns(key) {
            return Ok(Outcome::Gone);
        }
        if let Some(grant) = self.turned_away(key) {
            return self.forget_soon(key, &grant).await;
        }
        let seen = self.observe(key).await?;
        if seen.unserved && !seen.record.as_ref().is_some_and(|r| self.has_lent(r)) {
            return Ok(Outcome::Gone);
        }
        let doubtful_until = self.places.in_doubt_until(key);
        if seen.grant.is_none() && seen.record.is_none() && seen.gone.is_none() {
            if doubtful_until.is_some() {
                return Ok(Outcome::Waiting(doubtful_until));
            }
            self.memories.forget(&key.uid);
            self.ask_each(self.rivals.forget(key));
            return Ok(Outcome::Gone);
        }
        let Plan {
            effect,
            status,
            wake,
            notes,
        } = plan(&seen, self.clock.now());
        if let Some(grant) = &seen.grant {
            self.ask_each(self.rivals.note(key, grant, status.as_ref()));
        }
        if let Some(effect) = effect {
            let meanwhile = Meanwhile {
                status,
                wake,
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
                    self.tell(grant, notes);
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
            self.ask_each(self.rivals.forget(key));
            if seen.grant.is_none() {
                return Ok(Outcome::Gone);
            }
        }
        let gone_until = self.gone.seen(key, self.clock.now());
        let gone_until = gone_until.map(|(_, until)| until);
        Ok(Outcome::Waiting(
            [wake, doubtful_until, gone_until]
                .into_iter()
                .flatten()
                .min(),
        ))
    }

    /// Of a loan of which nothing is left to do nothing is kept in memory.
    fn has_become_history(&self, key: &LoanKey) -> bool {
        self.cluster.records.archive(&key.record())
    }

    /// The request, if it was turned away: of such only the uid is kept, and nothing is looked up for it any more.
    fn turned_away(&self, key: &LoanKey) -> Option<Arc<AccessGrant>> {
        let grant = self.cluster.grants.get(&key.grant)?;
        let is_it = grant.uid().as_deref() == Some(&key.uid);
        (is_it && is_turned_away(&grant)).then_some(grant)
    }

    async fn forget_soon(&self, key: &LoanKey, grant: &AccessGrant) -> Result<Outcome, ApiError> {
        self.memories.forget(&key.uid);
        self.ask_each(self.rivals.forget(key));
        let until = turned_away_until(grant);
        if until.is_none_or(|until| until > self.clock.now()) {
            return Ok(Outcome::Waiting(until));
        }
        self.cluster.grants.delete(grant).await?;
        Ok(Outcome::Applied)
    }

    /// Reads from the API server itself what a conflict has shown to be old in the cache.
    async fn refresh(&self, key: &LoanKey) -> Outcome {
        match self.cluster.records.live(&key.record()).await {
            Ok(_) => Outcome::Applied,
            Err(error) => {
                tracing::warn!(grant = %key.grant, %error, "a pass failed; it is repeated");
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
            Effect::FinishLink {
                sequence,
                issued_at,
                expires_at,
                item_version,
            } => {
                let Some(record) = &seen.record else {
                    return Ok(Outcome::Applied);
                };
                let record = record.clone();
                let issuing = Issuing::of(self, key, seen);
                issuing
                    .finish(&record, sequence, issued_at, expires_at, item_version)
                    .await
            }
            Effect::DeleteLink => self.delete_link(key, &seen, &memory).await,
            Effect::EndLoan {
                end,
                lost,
                residual_until,
                decision,
            } => {
                let Some(record) = &seen.record else {
                    return Ok(Outcome::Applied);
                };
                let links =
                    intent::with_outcome(&record.spec.links, lost, crate::api::LinkOutcome::Lost);
                let mut decisions = record.spec.decisions.clone();
                decisions.extend(decision);
                let change = serde_json::json!({ "spec": {
                    "end": end, "residualUntil": residual_until, "links": links, "decisions": decisions,
                } });
                self.cluster
                    .records
                    .urgent()
                    .swap(record.as_ref(), change)
                    .await
                    .map(drop)
            }
            Effect::RecordDenial(record) => self.record_denial(key, *record).await,
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

    async fn record_denial(&self, key: &LoanKey, spec: AccessRecordSpec) -> Result<(), ApiError> {
        let record = AccessRecord {
            metadata: ObjectMeta {
                name: Some(key.uid.clone()),
                namespace: Some(key.ledger.clone()),
                ..ObjectMeta::default()
            },
            spec,
        };
        self.cluster.records.create(&record).await?;
        self.gone.forget(key);
        Ok(())
    }

    fn tell(&self, grant: &AccessGrant, notes: Vec<Note>) {
        for Note {
            reason,
            message,
            warning,
        } in notes
        {
            self.events.publish(
                grant,
                Notice {
                    warning,
                    reason,
                    action: "Lend",
                    note: message,
                },
            );
        }
    }
}

#[cfg(test)]
mod tests;

/// Who asked for a loan, by username.
fn requester_of(seen: &Observed) -> &str {
    let by_record = seen.record.as_ref().map(|record| &record.spec.requester);
    let by_grant = seen.grant.as_ref().and_then(|g| g.spec.requester.as_ref());
    let requester = by_record.or(by_grant);
    requester.map_or("", |requester| requester.username.as_str())
}

/// The log tells of each denial, also where so many of one requester are recorded already that this one is not.
fn note_denial(key: &LoanKey, grant: &AccessGrant, status: &AccessGrantStatus) {
    let before = grant.status.as_ref().and_then(|s| s.phase);
    if status.phase == Some(Phase::Denied) && before != status.phase {
        let requester = grant.spec.requester.as_ref();
        let requester = requester.map_or("", |by| &by.username);
        tracing::info!(grant = %key.grant, uid = key.uid, requester, "a request was denied or taken back");
    }
}

/// The integration that a loan belongs to.
fn integration_of(key: &LoanKey, seen: &Observed) -> Key {
    let by_record = seen
        .record
        .as_ref()
        .map(|r| r.spec.terms.integration.name.clone());
    let by_grant = || {
        seen.grant
            .as_ref()
            .map(|g| g.spec.integration.name.0.clone())
    };
    Key::new(&key.ledger, by_record.or_else(by_grant).unwrap_or_default())
}
