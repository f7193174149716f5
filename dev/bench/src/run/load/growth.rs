//! Further links of the same loans, in rounds: shows whether each link costs memory permanently.

use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use keyloan::api::{AccessRecord, LinkOutcome};
use keyloan_cluster::wait_until;
use kube::Api;

use super::crowd::{Asked, Crowd, uids};
use super::{GROWTH, Load, PATIENCE, in_megabytes, ratio_of};
use crate::report::{Figure, Section, Unit};
use crate::stage::PLATFORM;
use crate::stopwatch;

/// Aim, an upper limit.
const LAST_TO_FIRST: f64 = 1.05;
/// The number of requests that are sent concurrently.
const SENT_AT_A_TIME: usize = 16;
/// The first number of these people.
const FIRST_PERSON: usize = 50_000;
/// The minimum time between two links of a loan is one minute.
const ROUND: Duration = Duration::from_secs(62);

impl Load {
    /// Renews the loans in rounds, and reads the memory after each.
    pub(super) async fn grow(&mut self) -> Result<Section> {
        let (loans, rounds) = (self.scale.growth_loans, self.scale.growth_rounds);
        let mut section = Section::new(
            "Growth",
            format!(
                "{loans} loans of as many people; {rounds} times, the link Secret of each is \
                 deleted and the next link is requested, {SENT_AT_A_TIME} at a time. RssAnon at \
                 rest after each round."
            ),
        );
        self.restart().await?;
        let requests: Vec<_> = (0..loans)
            .map(|n| (FIRST_PERSON + n, self.next_request()))
            .collect();
        let crowd = Crowd::new(&self.ground.stage.admin, GROWTH, GROWTH);
        let asked = crowd
            .ask(requests, SENT_AT_A_TIME, "loans", &self.progress)
            .await?;
        self.until_active(&uids(&asked)).await?;
        let mut first = None;
        let mut last = 0.0;
        for round in 1..=rounds {
            self.renew_all(&crowd, &asked, round + 1).await?;
            self.rest().await?;
            last = self.replicas()?.memory()?.anonymous;
            first.get_or_insert(last);
            let links = round as usize * loans;
            section.add(in_megabytes(
                format!("RssAnon after {links} further links"),
                last,
            ));
        }
        let ratio = ratio_of(last, first.unwrap_or(last));
        let ratio = Figure::new("the last to the first", ratio, Unit::Ratio);
        section.add(ratio.at_most(LAST_TO_FIRST));
        Ok(section)
    }

    /// Renews each loan; the new link has this number.
    async fn renew_all(&self, crowd: &Crowd, asked: &[Asked], number: u32) -> Result<()> {
        let began = stopwatch::now();
        let count = self.progress.count("further links", asked.len());
        let stage = &self.ground.stage;
        let records = Api::<AccessRecord>::namespaced(stage.admin.clone(), PLATFORM);
        let renewals = asked.iter().map(|asked| {
            let (records, count) = (&records, &count);
            async move {
                stage.delete_link(&asked.uid).await?;
                crowd.ask_for_renewal(asked).await?;
                let has_it = async || {
                    let links = records.get(&asked.uid).await.ok()?.spec.links;
                    let last = links.last().filter(|link| link.sequence == number)?;
                    (last.outcome == Some(LinkOutcome::Issued)).then_some(())
                };
                wait_until("it has its next link", PATIENCE, has_it).await?;
                count.one();
                anyhow::Ok(())
            }
        });
        let renewals = futures::stream::iter(renewals).buffer_unordered(SENT_AT_A_TIME);
        renewals.try_collect::<()>().await?;
        tokio::time::sleep(ROUND.saturating_sub(began.elapsed())).await;
        Ok(())
    }
}
