//! Waits for 1Password only while a link is due: a loan that is about to end does not wait for a
//! slow service.

use std::future::Future;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cluster::ApiError;
use crate::plan::delivery::steps::IssueLink;
use crate::plan::effect::Plan;
use crate::plan::grant::plan;

use crate::controllers::loan::key::LoanKey;
use crate::controllers::loan::loans::Loans;

/// The maximum interval between plans.
const AT_LEAST_EVERY: SignedDuration = SignedDuration::from_mins(10);

impl Loans {
    /// Does the work before an intent, unless the plan changes meanwhile: then that work is
    /// dropped, and there is no result. Work after the intent is never dropped. `wake` is the time
    /// at which the current plan is to be looked at again.
    pub(super) async fn while_due<T>(
        &self,
        key: &LoanKey,
        issue: &IssueLink,
        wake: Option<Timestamp>,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<Option<T>, ApiError> {
        tokio::select! {
            biased;
            done = work => done.map(Some),
            over = self.until_not_due(key, issue, wake) => over.map(|()| None),
        }
    }

    /// Looks at the loan again whenever a pass would do so, if none were running.
    async fn until_not_due(
        &self,
        key: &LoanKey,
        issue: &IssueLink,
        mut wake: Option<Timestamp>,
    ) -> Result<(), ApiError> {
        let mut jumps = self.clock.jumps();
        loop {
            let now = self.clock.now();
            let until = wake.filter(|at| *at > now);
            let wait = until.map_or(AT_LEAST_EVERY, |at| at.duration_since(now));
            let wait = Duration::try_from(wait.min(AT_LEAST_EVERY)).unwrap_or_default();
            tokio::select! {
                () = self.asked_again(key) => {}
                () = tokio::time::sleep(wait) => {}
                Ok(()) = jumps.changed() => {}
            }
            let seen = self.observe(key).await?;
            let again = plan(&seen, self.clock.now());
            if !is_for(&again, issue) {
                return Ok(());
            }
            wake = again.wake;
        }
    }

    /// Whether a new plan still is to issue this very link.
    pub(super) async fn is_still_due(
        &self,
        key: &LoanKey,
        issue: &IssueLink,
    ) -> Result<bool, ApiError> {
        let seen = self.observe(key).await?;
        Ok(is_for(&plan(&seen, self.clock.now()), issue))
    }

    async fn asked_again(&self, key: &LoanKey) {
        match self.passes.get() {
            Some(passes) => passes.requeued(key).await,
            None => std::future::pending().await,
        }
    }
}

fn is_for(plan: &Plan, issue: &IssueLink) -> bool {
    issue.is_still(plan.issues())
}
