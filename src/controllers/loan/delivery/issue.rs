//! Issues one link: performs the steps that the plan gives (`plan/delivery/steps.rs`) against
//! 1Password and the API server.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::AccessRecord;
use crate::cluster::{ApiError, Key};
use crate::plan::delivery::closing::Closing;
use crate::plan::delivery::failure::Failure;
use crate::plan::delivery::steps::{IssueLink, Step};

use super::issuing::{InHand, Issuing};

impl Issuing {
    /// Issues a link. The inner error is the reason why 1Password gave none; the outer one means
    /// that Kubernetes could not be read or written.
    pub async fn issue(
        self: Arc<Self>,
        issue: IssueLink,
        wake: Option<Timestamp>,
    ) -> Result<Result<(), Failure>, ApiError> {
        let prepare = self.up_to_intent(issue.clone());
        let prepared = self
            .loans
            .while_due(&self.key, &issue, wake, prepare)
            .await?;
        let step = match prepared {
            Some(Step::Done(result)) => return Ok(result),
            Some(step) => step,
            None => return Ok(Ok(())),
        };
        self.read_decisions_again(&issue).await?;
        let (tasks, me) = (self.loans.tasks.clone(), self.clone());
        let name = format!("link of {}", self.key);
        // Started work is finished even if this pass is dropped, for example at a shutdown or when
        // the lease is lost. It is on the heap because it is large and would be moved on the stack.
        let link = Box::pin(async move { me.to_the_end(step).await });
        tasks.finish(name, link).await.unwrap_or(Ok(Ok(())))
    }

    /// The steps before the intent. They leave no trace of the loan.
    async fn up_to_intent(&self, issue: IssueLink) -> Result<Step<InHand>, ApiError> {
        let mut step = Step::first(issue);
        while let Step::Inspect(_) | Step::MakePlace(_) = step {
            step = self.perform(step).await?;
        }
        Ok(step)
    }

    /// The intent, and all the steps after it.
    async fn to_the_end(&self, mut step: Step<InHand>) -> Result<Result<(), Failure>, ApiError> {
        loop {
            step = match step {
                Step::Done(result) => return Ok(result),
                step => self.perform(step).await?,
            };
        }
    }

    async fn perform(&self, step: Step<InHand>) -> Result<Step<InHand>, ApiError> {
        let clock = &self.loans.clock;
        Ok(match step {
            Step::Inspect(step) => {
                let inspected = self.inspect(&step.issue).await;
                let flow = &step.issue.agreement.terms.flow.uid;
                let mut flows = self.seen.flows.iter();
                let flow = flows.find(|f| f.uid().as_ref() == Some(flow)).cloned();
                step.inspected(inspected, flow.as_deref())
            }
            Step::MakePlace(step) => {
                let facts = step.link.facts(clock.now());
                let requester = &step.link.issue.agreement.requester;
                let place = self.make_place(requester, &facts).await?;
                step.placed(place)
            }
            Step::WriteIntent(step) => {
                let written = self.write_intent(&step).await?;
                step.written(written, clock.now())
            }
            Step::Obtain(step) => {
                let answer = self.share(&step.item, &step.link).await;
                step.obtained(answer.result, answer.at)
            }
            Step::LookAgain(step) => step.looked(self.loans.is_to_end(&self.key).await),
            Step::HandOver(step) => {
                let written = self.hand_over(&step).await;
                step.handed_over(written)
            }
            Step::Close(step) => {
                self.close(&step.record, step.closing()).await?;
                let (before, closing) = (&step.record.spec, step.closing());
                self.loans.count_closed(before, closing, step.failure());
                step.closed()
            }
            Step::Done(_) => step,
        })
    }

    /// Reads the decisions for the first link from the API server itself, so that the next plan
    /// counts what exists.
    async fn read_decisions_again(&self, issue: &IssueLink) -> Result<(), ApiError> {
        if issue.item_version.is_some() {
            return Ok(());
        }
        let grant = &self.key.grant;
        let names = issue
            .decisions
            .iter()
            .filter_map(|counted| counted.name.as_ref());
        for name in names {
            let key = Key::new(&grant.namespace, name);
            self.loans.cluster.decisions.live(&key).await?;
        }
        Ok(())
    }

    /// Completes a link whose Secret was written by an interrupted pass.
    pub async fn finish(&self, record: &AccessRecord, closing: &Closing) -> Result<(), ApiError> {
        self.let_requester_read(&record.spec.requester).await?;
        self.close(record, closing).await?;
        self.loans.count_closed(&record.spec, closing, None);
        Ok(())
    }
}
