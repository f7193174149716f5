//! Many loans that run at the same time: their memory, a restart with them, and revocations among
//! them.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{AccessDecision, AccessGrant, AccessRecord};
use keyloan_cluster::LINKS_NAMESPACE;
use kube::Api;
use kube::api::{ListParams, ObjectList};

use super::crowd::{Crowd, uids};
use super::{Load, PATIENCE, RUNNING, in_megabytes, in_milliseconds, in_seconds, ratio};
use crate::latency::Latencies;
use crate::report::{Figure, Section, Unit};
use crate::stage::PLATFORM;
use crate::stopwatch;

/// Aims, all upper limits.
const MEGABYTES: f64 = 160.0;
const RESTART_RATIO: f64 = 2.5;
const REVOKED: f64 = 1000.0;
/// The number of requests that are sent concurrently.
const SENT_AT_A_TIME: usize = 32;
/// The number of borrowers; all of them have the same number of loans.
const PEOPLE: usize = 1000;
/// The first number of these people.
const FIRST_PERSON: usize = 100_000;
/// The number of objects in one page of a list.
const PAGE: u32 = 500;

impl Load {
    /// Lends until this many loans run; `there_are` of them run already.
    pub(super) async fn run_many(&mut self, there_are: usize) -> Result<Section> {
        let (loans, revoked) = (self.scale.running, self.scale.revoked);
        let mut section = Section::new(
            "Running",
            format!(
                "{loans} loans of {PEOPLE} people run. The operator restarts; the floor: a bare client with the operator's identity lists the \
                 grants, the records, the decisions and the metadata of the link Secrets at once, by pages of {PAGE}. Then {revoked} loans are \
                 revoked one after the other, from sending the decision until a watch shows that the Secret is gone."
            ),
        );
        let (peak, used_before) = (
            self.replicas()?.follow_memory(),
            self.replicas()?.processor_time()?,
        );
        let more = loans.saturating_sub(there_are);
        let requests: Vec<_> = (0..more)
            .map(|n| (FIRST_PERSON + n % PEOPLE, self.next_request()))
            .collect();
        let crowd = Crowd::new(&self.ground.stage.admin, RUNNING, RUNNING);
        let asked = crowd
            .ask(requests, SENT_AT_A_TIME, "loans that run", &self.progress)
            .await?;
        self.until_active(&uids(&asked)).await?;
        self.rest().await?;
        let used = self.replicas()?.processor_time()? - used_before;
        let each = used / u32::try_from(more.max(1))?;
        section.add(in_milliseconds("processor time, each loan", each));
        let at_rest = self.replicas()?.memory()?.anonymous;
        section.add(
            in_megabytes("RssAnon", at_rest)
                .at_most(MEGABYTES)
                .made_of(format!("{:.1} MB at its peak", peak.so_far())),
        );
        drop(peak);
        self.restart_with_them(&mut section).await?;

        let mut gone = Vec::new();
        for asked in asked.iter().take(revoked) {
            let began = stopwatch::now();
            let stage = &self.ground.stage;
            stage.revoke(RUNNING, &asked.name, &asked.uid).await?;
            let uid = [asked.uid.clone()];
            let seen = self
                .sightings
                .all(&uid, "has lost its link", PATIENCE, |s| s.link_gone);
            gone.extend(seen.await?.into_iter().map(|gone| gone - began));
        }
        let gone: Latencies = gone.into_iter().collect();
        section.add(in_milliseconds("revoked, p50", gone.percentile(50)));
        section.add(in_milliseconds("revoked, p99", gone.percentile(99)).at_most(REVOKED));
        Ok(section)
    }

    async fn restart_with_them(&mut self, section: &mut Section) -> Result<()> {
        self.progress
            .say("the operator restarts with all that runs");
        let bare = self.list_bare().await?;
        let mut replicas = self.take_replicas()?.restart_one(&self.ground).await?;
        let began = stopwatch::now();
        let peak = replicas.follow_memory();
        replicas.until_leader_knows_all().await?;
        let took = began.elapsed();
        replicas.until_complete(&self.ground).await?;
        self.replicas = Some(replicas);
        self.rest().await?;
        section.add(in_seconds("a restart, until it knows all", took));
        let ratio = Figure::new(
            "a restart: ratio to the floor",
            ratio(took, bare),
            Unit::Ratio,
        );
        section.add(
            ratio
                .at_most(RESTART_RATIO)
                .made_of(format!("the floor takes {:.2} s", bare.as_secs_f64())),
        );
        let at_rest = self.replicas()?.memory()?.anonymous;
        section.add(
            in_megabytes("RssAnon after a restart", at_rest)
                .at_most(MEGABYTES)
                .made_of(format!("{:.1} MB at its peak", peak.so_far())),
        );
        Ok(())
    }

    /// The time to list the objects that the operator lists.
    async fn list_bare(&self) -> Result<Duration> {
        let client = self.ground.operators_client().await?;
        let grants = Api::<AccessGrant>::all(client.clone());
        let records = Api::<AccessRecord>::namespaced(client.clone(), PLATFORM);
        let decisions = Api::<AccessDecision>::all(client.clone());
        let links = Api::<Secret>::namespaced(client, LINKS_NAMESPACE);
        let began = stopwatch::now();
        tokio::try_join!(
            all_pages(async |page| grants.list(page).await),
            all_pages(async |page| records.list(page).await),
            all_pages(async |page| decisions.list(page).await),
            all_pages(async |page| links.list_metadata(page).await),
        )?;
        Ok(began.elapsed())
    }
}

/// Lists all pages, and keeps nothing.
async fn all_pages<K: Clone>(
    list: impl AsyncFn(&ListParams) -> kube::Result<ObjectList<K>>,
) -> Result<()> {
    let mut page = ListParams::default().limit(PAGE);
    loop {
        match list(&page).await?.metadata.continue_ {
            Some(token) if !token.is_empty() => page = page.continue_token(&token),
            _ => return Ok(()),
        }
    }
}
