//! The cost of one person's loans and requests, alone and beside very many others of theirs.

use std::time::Duration;

use anyhow::Result;

use super::crowd::{Crowd, uids};
use super::waiting::{FIRST_PERSON, LAST_TO_FIRST, PROCESSOR_MILLISECONDS, SETTLED};
use super::{Load, OF_ONE, WAITING, in_milliseconds, ratio};
use crate::report::{Figure, Section, Unit};

/// Aim, an upper limit.
const LOAN_MILLISECONDS: f64 = 3.0;
/// A person may have in line five times as many requests as each flow lets wait; this is a few
/// less.
const MAY_WAIT: usize = 4_500;
/// The number of loans that are compared.
const LOANS: usize = 100;
/// The number of requests that are sent concurrently.
const SENT_AT_A_TIME: usize = 16;

impl Load {
    /// One person's loans and pending requests.
    pub(super) async fn measure_one_persons(&mut self) -> Result<Section> {
        let (all, compared) = (self.scale.waiting, self.scale.compared);
        let beside = all.min(MAY_WAIT);
        let mut section = Section::new(
            "One person's, with a 1Password that answers at once",
            format!(
                "{LOANS} loans of a person who has no other requests; {beside} of their requests \
                 that nobody decides; {LOANS} loans more, once the operator is at rest; and \
                 requests until there are {all}. Beyond {MAY_WAIT}, all further requests fail, so \
                 the loans come before. The operator's processor time until each is Active, or has \
                 a status, plus {} s.",
                SETTLED.as_secs()
            ),
        );
        self.restart().await?;
        self.warm_up().await?;
        let loans_alone = self.lend_to_one().await?;
        let first = self.ask_and_wait(OF_ONE, 1, compared).await?;
        self.ask_and_wait(OF_ONE, 1, beside - compared).await?;
        // The remaining events of the pending requests are not a cost of the loans.
        self.rest().await?;
        let loans_beside = self.lend_to_one().await?;
        let more = all.saturating_sub(beside + compared);
        self.ask_and_wait(OF_ONE, 1, more).await?;
        let last = self.ask_and_wait(OF_ONE, 1, compared).await?;
        for (what, each, aim) in [
            (
                "a loan, without other requests",
                loans_alone,
                LOAN_MILLISECONDS,
            ),
            (
                "a loan, beside those that wait",
                loans_beside,
                LOAN_MILLISECONDS,
            ),
            ("one of the first that wait", first, PROCESSOR_MILLISECONDS),
            ("one of the last that wait", last, PROCESSOR_MILLISECONDS),
        ] {
            let label = format!("processor time: {what}");
            section.add(in_milliseconds(label, each).at_most(aim));
        }
        for (what, later, earlier) in [
            ("loans: beside them to without", loans_beside, loans_alone),
            ("waiting: the last to the first", last, first),
        ] {
            let ratio = Figure::new(what, ratio(later, earlier), Unit::Ratio);
            section.add(ratio.at_most(LAST_TO_FIRST));
        }
        Ok(section)
    }

    /// One person borrows in the flow without approval; returns the operator's processor time per
    /// loan.
    async fn lend_to_one(&mut self) -> Result<Duration> {
        let used_before = self.replicas()?.processor_time()?;
        let requests: Vec<_> = (0..LOANS)
            .map(|_| (FIRST_PERSON, self.next_request()))
            .collect();
        let crowd = Crowd::new(&self.ground.stage.admin, OF_ONE, WAITING);
        let asked = crowd
            .ask(
                requests,
                SENT_AT_A_TIME,
                "one person's loans",
                &self.progress,
            )
            .await?;
        self.until_active(&uids(&asked)).await?;
        tokio::time::sleep(SETTLED).await;
        let used = self.replicas()?.processor_time()? - used_before;
        Ok(used / u32::try_from(LOANS)?)
    }
}
