//! Many requests at once, each from another person, in a flow that requires no approval.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::crowd::{Asked, Crowd, uids};
use super::{
    BURST, Load, OnePassword, PATIENCE, in_megabytes, in_milliseconds, in_seconds, per_second,
    ratio,
};
use crate::floor::Floor;
use crate::latency::Latencies;
use crate::loans::{self, Batch};
use crate::report::{Figure, Section, Unit};
use crate::stopwatch;

/// Aims, all upper limits: in megabytes, and, with a 1Password that answers at once, in
/// milliseconds and as a ratio to the floor.
const PEAK: f64 = 60.0;
const OWN_MILLISECONDS: f64 = 3.0;
const OWN_RATIO: f64 = 1.5;
/// The number of concurrent requests: more than the operator handles at once, fewer than the API
/// server accepts at once.
const SENT_AT_A_TIME: usize = 64;
/// The number of loans that the floor writes concurrently.
const FLOOR_AT_A_TIME: usize = 16;
/// Role, RoleBinding, record and Secret.
const OBJECTS: usize = 4;

impl Load {
    /// Writes the objects of the burst's loans without the operator; returns also the writer's
    /// processor time per loan.
    pub(super) async fn measure_floor(&mut self) -> Result<(Batch, Duration)> {
        let lent = self.warm_up().await?;
        let pattern = lent.first().context("nothing was lent")?;
        self.take_replicas()?.stop().await?;
        let floor = Floor::new(&self.ground.stage, self.ground.operators_client(), pattern).await?;
        let first = self.next;
        self.next += self.scale.burst;
        let label = format!("the floor, {FLOOR_AT_A_TIME} at a time");
        let (numbers, used_before) = (first..self.next, floor.processor_time()?);
        let batch = loans::batch(&label, numbers, FLOOR_AT_A_TIME, &self.progress, |n| {
            floor.lend(n)
        })
        .await?;
        let used = floor.processor_time()? - used_before;
        self.progress.say("deleting the floor's objects");
        floor.clear(&self.ground.stage.admin).await?;
        self.start_replicas().await?;
        Ok((batch, used / u32::try_from(self.scale.burst)?))
    }

    /// The burst; returns the active loans.
    pub(super) async fn burst(
        &mut self,
        (floor, floor_used): &(Batch, Duration),
    ) -> Result<(Section, Vec<Asked>)> {
        let loans = self.scale.burst;
        let is_own = self.onepassword == OnePassword::AtOnce;
        let mut section = Section::new(
            if is_own {
                "Burst, with a 1Password that answers at once"
            } else {
                "Burst"
            },
            format!(
                "{loans} requests at once, {SENT_AT_A_TIME} of them sent at a time, each from \
                 another person, with {} integrations that are signed in; until a watch shows the \
                 last link Secret. The floor: a bare client without 1Password writes the objects \
                 of as many loans with the same contents, {FLOOR_AT_A_TIME} loans at a time.",
                self.scale.integrations
            ),
        );
        self.warm_up().await?;
        let (peak, before) = (self.replicas()?.follow_memory(), self.replicas()?.memory()?);
        let used_before = self.replicas()?.processor_time()?;
        let requests: Vec<_> = (0..loans).map(|n| (n, self.next_request())).collect();
        let crowd = Crowd::new(&self.ground.stage.admin, BURST, BURST);
        let began = stopwatch::now();
        let asked = crowd
            .ask(requests, SENT_AT_A_TIME, "requests at once", &self.progress)
            .await?;
        let sent = began.elapsed();
        let uids = uids(&asked);
        let links = self
            .sightings
            .all(&uids, "has a link", PATIENCE, |s| s.link);
        let links = links.await?;
        let active = self.until_active(&uids).await?;
        let used = self.replicas()?.processor_time()? - used_before;

        let until = |times: &[Instant]| times.iter().max().map_or(sent, |last| *last - began);
        let (to_last_link, to_last_active) = (until(&links), until(&active));
        section.add(
            in_seconds("until the last link Secret", to_last_link).made_of(format!(
                "the requests themselves were sent within {:.1} s",
                sent.as_secs_f64()
            )),
        );
        let rate = per_second(loans, to_last_link);
        section.add(
            Figure::new("links per second", rate, Unit::LoansPerSecond).made_of(format!(
                "{:.0} objects per second: {OBJECTS} for each loan, besides its request",
                rate * OBJECTS as f64
            )),
        );
        section.add(in_seconds("until the last is Active", to_last_active));
        let ratio = Figure::new(
            "until the last is Active: ratio to the floor",
            ratio(to_last_active, floor.took),
            Unit::Ratio,
        )
        .made_of(format!(
            "the floor takes {:.1} s, {:.1} loans per second",
            floor.took.as_secs_f64(),
            floor.rate()
        ));
        section.add(if is_own {
            ratio.at_most(OWN_RATIO)
        } else {
            ratio
        });
        let latencies: Latencies = asked
            .iter()
            .zip(&links)
            .map(|(asked, link)| *link - asked.at)
            .collect();
        for percent in [50, 99] {
            let label = format!("request to link Secret, p{percent}");
            section.add(in_seconds(label, latencies.percentile(percent)));
        }
        let each = used / u32::try_from(loans)?;
        let each =
            in_milliseconds("processor time of the operator, each loan", each).made_of(format!(
                "the bare client takes {:.2} ms for each",
                floor_used.as_secs_f64() * 1e3
            ));
        section.add(if is_own {
            each.at_most(OWN_MILLISECONDS)
        } else {
            each
        });
        section.add(
            in_megabytes("RssAnon, peak", peak.so_far())
                .at_most(PEAK)
                .made_of(format!("{:.1} MB before", before.anonymous)),
        );
        self.rest().await?;
        let after = self.replicas()?.memory()?;
        section.add(in_megabytes("RssAnon, at rest afterwards", after.anonymous));
        Ok((section, asked))
    }
}
