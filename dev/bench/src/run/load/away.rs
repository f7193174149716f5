//! The API server does not answer for a while: the operator keeps links that were made meanwhile,
//! and hands them over once the API server is back.

use anyhow::{Context, Result};
use keyloan::api::{AccessRecord, LinkOutcome};
use keyloan_cluster::wait_until;
use kube::Api;

use super::crowd::{Crowd, uids};
use super::{AWAY, Load, PATIENCE, in_seconds};
use crate::report::Section;
use crate::stage::PLATFORM;
use crate::stopwatch;

impl Load {
    /// Pauses the API server in the middle of some loans.
    pub(super) async fn lose_the_api_server(&mut self) -> Result<Section> {
        let (loans, away) = (self.scale.away_loans, self.scale.away);
        let mut section = Section::new(
            "Away",
            format!(
                "{loans} people ask at once; as soon as 1Password has made the links of a fifth of \
                 them, the API server is stopped (SIGSTOP) for {} s.",
                away.as_secs()
            ),
        );
        self.restart().await?;
        self.warm_up().await?;
        let before = self.ground.service.shares().await?;
        let requests: Vec<_> = (0..loans).map(|n| (n, self.next_request())).collect();
        let crowd = Crowd::new(&self.ground.stage.admin, AWAY, AWAY);
        let asked = crowd
            .ask(requests, loans, "loans being issued", &self.progress)
            .await?;
        let service = &self.ground.service;
        let some_are_made = async || {
            let made = service.shares().await.ok()? - before;
            (made >= loans / 5).then_some(())
        };
        wait_until("a fifth of the links is made", PATIENCE, some_are_made).await?;
        self.ground.pause_api_server(true)?;
        let shared = service.shares().await? - before;
        self.progress.say("the API server does not answer");
        tokio::time::sleep(away).await;
        let shared_later = self.ground.service.shares().await? - before;
        self.ground.pause_api_server(false)?;
        let back = stopwatch::now();
        let uids = uids(&asked);
        let active = self.until_active(&uids).await?;
        let last = active.into_iter().max().context("nobody asked")?;
        let made = self.ground.service.shares().await? - before;
        section.add(
            in_seconds("until the last is Active", last.duration_since(back)).made_of(format!(
                "counted from its continuation; {shared} links existed when it stopped, {} more \
                 were made meanwhile",
                shared_later - shared
            )),
        );
        self.add_lost(&uids, made, &mut section).await?;
        self.replace_those_that_ended().await?;
        Ok(section)
    }

    /// The number of these loans' links that were lost, according to their records.
    pub(super) async fn lost_links(&self, uids: &[String]) -> Result<usize> {
        let records = Api::<AccessRecord>::namespaced(self.ground.stage.admin.clone(), PLATFORM);
        let mut lost = 0;
        for uid in uids {
            let links = records.get(uid).await?.spec.links;
            let is_lost = |outcome: &Option<LinkOutcome>| *outcome == Some(LinkOutcome::Lost);
            lost += links.iter().filter(|link| is_lost(&link.outcome)).count();
        }
        Ok(lost)
    }

    /// An operator that loses its lease ends, and is started again, as its pod's container would
    /// be.
    async fn replace_those_that_ended(&mut self) -> Result<()> {
        drop(self.take_replicas()?);
        self.start_replicas().await
    }
}
