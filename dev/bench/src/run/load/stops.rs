//! Planned stops in the middle of a loan, repeatedly: none may lose a link.

use std::time::Duration;

use anyhow::Result;

use super::{Load, in_seconds};
use crate::latency::Latencies;
use crate::report::{Figure, Section, Unit};
use crate::stopwatch;

/// The stops are spread over this time after the request: a single loan takes about as long.
const SPREAD: Duration = Duration::from_millis(300);

impl Load {
    /// Stops the leader while it lends; the standby takes over, and another replica starts.
    pub(super) async fn stop_again_and_again(&mut self) -> Result<Section> {
        let stops = self.scale.stops;
        let mut section = Section::new(
            "Stops",
            format!(
                "{stops} times, alice asks, and the leader is stopped (SIGTERM) at a moment within \
                 the next {} ms, a different one each time.",
                SPREAD.as_millis()
            ),
        );
        self.restart().await?;
        self.warm_up().await?;
        let before = self.ground.service.shares().await?;
        let count = self.progress.count("stops", stops);
        let (mut uids, mut to_link) = (Vec::new(), Vec::new());
        for stop in 0..stops {
            let mut replicas = self.take_replicas()?;
            let old = replicas.hand_over()?;
            let moment = SPREAD * u32::try_from(stop)? / u32::try_from(stops)?;
            let (loan, stopped) = tokio::join!(self.lend(), async {
                tokio::time::sleep(moment).await;
                let began = stopwatch::now();
                old.stop().await.map(|()| began.elapsed())
            });
            let loan = loan?;
            stopped?;
            to_link.push(loan.to_link);
            uids.push(loan.uid);
            replicas.until_complete(&self.ground).await?;
            self.replicas = Some(replicas);
            count.one();
        }
        let made = self.ground.service.shares().await? - before;
        let to_link: Latencies = to_link.into_iter().collect();
        for percent in [50, 100] {
            let label = format!("request to link, p{percent}");
            section.add(in_seconds(label, to_link.percentile(percent)));
        }
        self.add_lost(&uids, made, &mut section).await?;
        Ok(section)
    }

    /// Adds the number of lost links of these loans, of which 1Password made `made`.
    pub(super) async fn add_lost(
        &self,
        uids: &[String],
        made: usize,
        section: &mut Section,
    ) -> Result<()> {
        let lost = self.lost_links(uids).await?;
        let lost = Figure::new("lost links", lost as f64, Unit::Links).at_most(0.0);
        section.add(lost.made_of(format!("{made} links were made for {} loans", uids.len())));
        Ok(())
    }
}
