//! What asks 1Password goes in turn: a pass that finds no turn free ends, and there is another one when its turn has come up.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::issue::Issuing;
use super::words::failure_of;
use super::{LoanKey, Loans, Meanwhile, integration_of, requester_of};
use crate::api::{AccessGrantStatus, AccessRecord};
use crate::cluster::ApiError;
use crate::controllers::rate_limit::Order;
use crate::controllers::registry::{Asker, AtWork, Search, TurnTaken};
use crate::plan::effect::IssueLink;
use crate::plan::links::Links;
use crate::plan::observed::Observed;
use crate::plan::retry::Failure;
use crate::runtime::Outcome;

/// A link that is not there so long after it could be made is said to be on its way: that is a write more.
const SAID_AFTER: Duration = Duration::from_secs(1);

impl Loans {
    /// Issues a link if there is a turn for it: `come_up`, or one that is free.
    pub(super) async fn issue_in_turn(
        self: &Arc<Self>,
        key: &LoanKey,
        seen: Observed,
        issue: IssueLink,
        meanwhile: Meanwhile,
    ) -> Result<Outcome, ApiError> {
        let Meanwhile {
            status,
            wake,
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
                self.say(&seen, status.as_ref()).await?;
                return Ok(Outcome::Waiting(wake));
            }
            TurnTaken::Nowhere => {
                memory.note_attempt(Err(Failure::Unavailable), self.clock.now());
                return Ok(Outcome::Applied);
            }
        };
        turn.begins();
        memory.leave_line();
        if let Some(passes) = self.passes.get() {
            // There are only so many turns.
            passes.release_slot(key);
        }
        let issuing = Arc::new(Issuing::of(self, key, seen));
        let said = async {
            tokio::time::sleep(SAID_AFTER).await;
            if let Err(error) = self.say(&issuing.seen, status.as_ref()).await {
                tracing::debug!(grant = %key.grant, %error, "not said that a link is on its way");
            }
            std::future::pending::<Infallible>().await
        };
        let outcome = tokio::select! {
            biased;
            outcome = Box::pin(issuing.clone().issue(issue, wake)) => outcome?,
            never = said => match never {},
        };
        drop(turn);
        memory.note_attempt(outcome, self.clock.now());
        Ok(Outcome::Applied)
    }

    async fn say(
        &self,
        seen: &Observed,
        status: Option<&AccessGrantStatus>,
    ) -> Result<(), ApiError> {
        if let (Some(grant), Some(status)) = (&seen.grant, status) {
            self.cluster.grants.patch_status(grant, status).await?;
        }
        Ok(())
    }

    /// A turn at 1Password. Where none is free, the loan is in line, and has a pass when its turn has come up.
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
                // It goes to the next in line, which comes here again.
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

    /// The turn that has come up for a loan since its last pass began.
    pub(super) fn turn_come_up(&self, key: &LoanKey) -> Option<AtWork> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.remove(key)
    }

    /// Lists a vault, or waits until another listing of the integration has ended.
    pub(super) async fn list_vault(
        self: &Arc<Self>,
        key: &LoanKey,
        seen: &Observed,
        search: Search<'_>,
        wake: Option<Timestamp>,
    ) -> Outcome {
        if let Some(passes) = self.passes.get() {
            // There is one listing of an integration at a time.
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
            // A listing that worked is no success of the loan: what failed before it still counts.
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

/// For what a link is issued.
fn order_of(seen: &Observed) -> Order {
    let runs = |record: &Arc<AccessRecord>| Links::of(&record.spec).granted_at().is_some();
    match seen.record.as_ref().is_some_and(runs) {
        true => Order::Renewal,
        false => Order::FirstLink,
    }
}
