//! Requests to 1Password are made in turn: a pass that finds no free turn ends, and another one
//! runs when its turn comes.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::issuing::Issuing;
use crate::api::{AccessGrantStatus, AccessRecord};
use crate::cluster::ApiError;
use crate::controllers::answers::failure_of;
use crate::controllers::loan::key::LoanKey;
use crate::controllers::loan::loans::{Loans, integration_of, requester_of};
use crate::controllers::rate_limit::Order;
use crate::controllers::registry::{Asker, AtWork, Search, TurnTaken};
use crate::plan::delivery::failure::Failure;
use crate::plan::delivery::links::Links;
use crate::plan::delivery::steps::IssueLink;
use crate::plan::events::LoanEvent;
use crate::plan::observed::Observed;
use crate::runtime::Outcome;

/// If a link takes longer than this, the status says that it is being issued, which costs another
/// write.
const SAID_AFTER: Duration = Duration::from_secs(1);

/// The parts of a plan besides its effect.
pub struct Meanwhile {
    /// The grant's status during the effect.
    pub(in crate::controllers::loan) status: Option<AccessGrantStatus>,
    /// The events of the loan.
    pub(in crate::controllers::loan) events: Vec<LoanEvent>,
    /// The time by which the loan is looked at again.
    pub(in crate::controllers::loan) wake: Option<Timestamp>,
    /// The time of the observations from which the plan was made.
    pub(in crate::controllers::loan) since: Timestamp,
    /// A turn at 1Password, if one has come. If it is no longer wanted, the next in line gets it.
    pub(in crate::controllers::loan) come_up: Option<AtWork>,
}

impl Loans {
    /// Issues a link if there is a turn for it: `come_up`, or a free one.
    pub(in crate::controllers::loan) async fn issue_in_turn(
        self: &Arc<Self>,
        key: &LoanKey,
        seen: Observed,
        issue: IssueLink,
        meanwhile: Meanwhile,
    ) -> Result<Outcome, ApiError> {
        let Meanwhile {
            status,
            wake,
            events,
            come_up,
            ..
        } = meanwhile;
        let memory = self.memories.of(&key.uid);
        let taken = come_up.map_or_else(|| self.turn(key, &seen), TurnTaken::Now);
        let mut turn = match taken {
            TurnTaken::Now(turn) => turn,
            TurnTaken::InLine => {
                let since = memory.note_in_line(self.clock.now());
                let said_at = later(since, SAID_AFTER);
                if self.clock.now() < said_at {
                    return Ok(Outcome::Waiting(wake.into_iter().chain([said_at]).min()));
                }
                self.say(&seen, status.as_ref(), events).await?;
                return Ok(Outcome::Waiting(wake));
            }
            TurnTaken::Nowhere => {
                self.count_failure(&Failure::NotConnected);
                memory.note_attempt(Err(Failure::NotConnected), self.clock.now());
                return Ok(Outcome::Applied);
            }
        };
        turn.begins();
        memory.leave_line();
        if let Some(passes) = self.passes.get() {
            // The number of turns is limited.
            passes.release_slot(key);
        }
        let issuing = Arc::new(Issuing::of(self, key, seen));
        let said = async {
            tokio::time::sleep(SAID_AFTER).await;
            if let Err(error) = self.say(&issuing.seen, status.as_ref(), events).await {
                tracing::debug!(grant = %key.grant, %error, "could not report that a link is being issued");
            }
            std::future::pending::<Infallible>().await
        };
        let outcome = tokio::select! {
            biased;
            outcome = Box::pin(issuing.clone().issue(issue, wake)) => outcome?,
            never = said => match never {},
        };
        drop(turn);
        if let Err(failure) = &outcome {
            self.count_failure(failure);
        }
        memory.note_attempt(outcome, self.clock.now());
        Ok(Outcome::Applied)
    }

    async fn say(
        &self,
        seen: &Observed,
        status: Option<&AccessGrantStatus>,
        events: Vec<LoanEvent>,
    ) -> Result<(), ApiError> {
        if let (Some(grant), Some(status)) = (&seen.grant, status)
            && self.cluster.grants.patch_status(grant, status).await?
        {
            self.events.tell(events);
        }
        Ok(())
    }

    /// A turn at 1Password. If none is free, the loan gets in line, and has a pass when its turn
    /// comes.
    fn turn(self: &Arc<Self>, key: &LoanKey, seen: &Observed) -> TurnTaken {
        let asker = Asker {
            requester: requester_of(seen),
            loan: &key.uid,
        };
        let (loans, of) = (Arc::downgrade(self), key.clone());
        let comes_up = move |turn| {
            if let Some(loans) = loans.upgrade() {
                let mut turns = loans.turns.lock().unwrap_or_else(PoisonError::into_inner);
                let unused = turns.insert(of.clone(), turn);
                drop(turns);
                // The turn goes to the next in line, which comes here again.
                drop(unused);
                loans.go_on(of);
            }
        };
        let integration = seen.integration.as_ref();
        let limits = integration.and_then(|seen| seen.object.spec.limits.clone());
        let pace = limits.unwrap_or_default().shares_per_minute;
        let (integration, order) = (integration_of(key, seen), order_of(seen));
        self.registry
            .turn(&integration, order, asker, pace, comes_up)
    }

    /// The turn that has come for a loan since its last pass began.
    pub(in crate::controllers::loan) fn turn_come_up(&self, key: &LoanKey) -> Option<AtWork> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.remove(key)
    }

    /// Lists a vault, or waits until another listing of the integration has ended.
    pub(in crate::controllers::loan) async fn list_vault(
        self: &Arc<Self>,
        key: &LoanKey,
        seen: &Observed,
        search: Search<'_>,
        wake: Option<Timestamp>,
    ) -> Outcome {
        if let Some(passes) = self.passes.get() {
            // One listing of an integration runs at a time.
            passes.release_slot(key);
        }
        let asker = Asker {
            requester: requester_of(seen),
            loan: &key.uid,
        };
        let (loans, of) = (Arc::downgrade(self), key.clone());
        let then = move || {
            if let Some(loans) = loans.upgrade() {
                loans.go_on(of);
            }
        };
        let integration = integration_of(key, seen);
        let listed = self
            .registry
            .list_vault(&integration, search, asker, then)
            .await;
        match listed {
            Ok(true) => Outcome::Applied,
            Ok(false) => Outcome::Waiting(wake),
            // A successful listing is no success of the loan: earlier failures still count.
            Err(error) => {
                let now = self.clock.now();
                let memory = self.memories.of(&key.uid);
                memory.note_attempt(Err(failure_of(&error, now)), now);
                Outcome::Applied
            }
        }
    }
}

fn later(since: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    since.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// The purpose of the link.
fn order_of(seen: &Observed) -> Order {
    let runs = |record: &Arc<AccessRecord>| Links::of(&record.spec).granted_at().is_some();
    match seen.record.as_ref().is_some_and(runs) {
        true => Order::Renewal,
        false => Order::FirstLink,
    }
}
