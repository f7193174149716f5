//! Further links, in rounds: whether each costs memory that stays.

use anyhow::Result;

use super::crowd::{Crowd, uids};
use super::{GROWTH, Load, PATIENCE, in_megabytes};
use crate::report::{Figure, Section, Unit};

/// So many requests are sent at a time.
const SENT_AT_A_TIME: usize = 16;
/// The numbers of those who ask begin here.
const FIRST_PERSON: usize = 50_000;

impl Load {
    /// Lends on and on, and reads the memory now and then.
    pub(super) async fn grow(&mut self) -> Result<Section> {
        let (links, round) = (self.scale.growth, self.scale.growth_round);
        let mut section = Section::new(
            "Growth",
            format!(
                "{links} further links to as many people, {SENT_AT_A_TIME} requests being sent at a time; RssAnon at rest after each {round}. \
                 The loans stay active, so that their objects are part of it."
            ),
        );
        self.restart().await?;
        self.warm_up().await?;
        let first = self.replicas()?.memory()?.anonymous;
        section.add(in_megabytes("RssAnon after a restart, signed in", first));
        let mut last = first;
        let crowd = Crowd::new(&self.ground.stage.admin, GROWTH, GROWTH);
        for done in (0..links).step_by(round.max(1)) {
            let requests: Vec<_> = (done..links.min(done + round))
                .map(|n| (FIRST_PERSON + n, self.next_request()))
                .collect();
            let done = done + requests.len();
            let asked = crowd
                .ask(requests, SENT_AT_A_TIME, "further links", &self.progress)
                .await?;
            let uids = uids(&asked);
            let active = self
                .sightings
                .all(&uids, "is Active", PATIENCE, |s| s.active);
            active.await?;
            self.rest().await?;
            last = self.replicas()?.memory()?.anonymous;
            section.add(in_megabytes(format!("RssAnon after {done} links"), last));
        }
        let each = (last - first) * 1e6 / links as f64;
        section.add(Figure::new("each link", each, Unit::Bytes));
        Ok(section)
    }
}
