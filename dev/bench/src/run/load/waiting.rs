//! Many requests that wait for an approval that nobody gives: of one person, then of many.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use keyloan::api::{ACCEPTED, AccessGrant};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use tokio::sync::oneshot;

use super::crowd::{Crowd, uids};
use super::{Load, OF_MANY, OF_ONE, PATIENCE, WAITING};
use super::{in_megabytes, in_milliseconds, in_seconds, per_second, ratio};
use crate::latency::Latencies;
use crate::loans;
use crate::report::{Figure, Section, Unit};
use crate::scale::LoadScale;
use crate::stopwatch;

/// Aims, all of them upper limits.
pub(super) const PROCESSOR_MILLISECONDS: f64 = 1.5;
pub(super) const LAST_TO_FIRST: f64 = 1.2;
const PEAK: f64 = 100.0;
const SECONDS_TO_LINK: f64 = 2.0;

/// The number of requests that are sent concurrently.
const SENT_AT_A_TIME: usize = 16;
/// The interval between alice's requests.
const ALICE_ASKS_EVERY: Duration = Duration::from_secs(2);
/// The time that late events may take.
pub(super) const SETTLED: Duration = Duration::from_secs(1);
/// The time for which the operator is observed when nothing happens.
const AT_REST: Duration = Duration::from_secs(10);
/// The number of objects in one page of a list.
const PAGE: u32 = 500;
/// The first number of these people.
pub(super) const FIRST_PERSON: usize = 10_000;

impl Load {
    /// All requests are from one person.
    pub(super) async fn let_one_persons_wait(&mut self, found: &mut Vec<Section>) -> Result<()> {
        let mut section = self.section("Waiting, of one person");
        let waited = self.let_wait(OF_ONE, 1, &mut section).await;
        found.push(section);
        waited
    }

    /// The requests are from many people.
    pub(super) async fn let_many_peoples_wait(&mut self, found: &mut Vec<Section>) -> Result<()> {
        let (mut section, people) = (self.section("Waiting, of many people"), self.scale.people);
        let waited = self.let_wait(OF_MANY, people, &mut section).await;
        found.push(section);
        waited
    }

    fn section(&self, title: &'static str) -> Section {
        let LoadScale {
            waiting, compared, ..
        } = self.scale;
        Section::new(
            title,
            format!(
                "{waiting} requests that nobody decides, {SENT_AT_A_TIME} of them sent at a time, \
                 until each has a status. Processor time for the first and the last {compared}, \
                 plus {} s; between these, alice asks every {} s in a flow without approval. All \
                 of this happens beside the loans of the other parts.",
                SETTLED.as_secs(),
                ALICE_ASKS_EVERY.as_secs()
            ),
        )
    }

    /// Makes requests of this many people that wait, and finally deletes them.
    async fn let_wait(
        &mut self,
        namespace: &'static str,
        people: usize,
        section: &mut Section,
    ) -> Result<()> {
        let of = match people {
            1 => "of one person".to_owned(),
            people => format!("of {people} people"),
        };
        let (all, compared) = (self.scale.waiting, self.scale.compared);
        self.restart().await?;
        self.warm_up().await?;
        let (peak, before) = (self.replicas()?.follow_memory(), self.replicas()?.memory()?);
        let began = stopwatch::now();
        let first = self.ask_and_wait(namespace, people, compared).await?;
        let alice = self
            .while_alice_asks(namespace, people, all.saturating_sub(2 * compared))
            .await?;
        let last = self.ask_and_wait(namespace, people, compared).await?;
        let took = began.elapsed();

        let became = self.what_became(namespace).await?;
        section.add(
            in_seconds(format!("{of}: until each of {all} has a status"), took)
                .made_of(format!("{:.0} per second; {became}", per_second(all, took))),
        );
        for (which, each) in [("first", first), ("last", last)] {
            let label = format!("{of}: processor time each, the {which} {compared}");
            section.add(in_milliseconds(label, each).at_most(PROCESSOR_MILLISECONDS));
        }
        section.add(
            Figure::new(
                format!("{of}: the last {compared} to the first"),
                ratio(last, first),
                Unit::Ratio,
            )
            .at_most(LAST_TO_FIRST),
        );
        let detail = format!("{} requests of alice's", alice.len());
        for (which, percent) in [("p50", 50), ("the slowest", 100)] {
            let label = format!("{of}: meanwhile, alice's request to link, {which}");
            section.add(
                in_seconds(label, alice.percentile(percent))
                    .at_most(SECONDS_TO_LINK)
                    .made_of(detail.clone()),
            );
        }
        section.add(
            in_megabytes(format!("{of}: RssAnon, peak"), peak.so_far())
                .at_most(PEAK)
                .made_of(format!("{:.1} MB before", before.anonymous)),
        );
        section.add(in_megabytes(
            format!("{of}: RssAnon, at the end"),
            self.replicas()?.memory()?.anonymous,
        ));
        let used_before = self.replicas()?.processor_time()?;
        tokio::time::sleep(AT_REST).await;
        let used = self.replicas()?.processor_time()? - used_before;
        let label = format!(
            "{of}: processor time in {} s in which nothing happens",
            AT_REST.as_secs()
        );
        section.add(in_milliseconds(label, used));
        self.restart_under_load(&of, section).await?;
        self.delete_all(namespace).await
    }

    /// Makes this many requests, and returns the operator's processor time per request until it has
    /// a status.
    pub(super) async fn ask_and_wait(
        &mut self,
        namespace: &'static str,
        people: usize,
        requests: usize,
    ) -> Result<Duration> {
        let used_before = self.replicas()?.processor_time()?;
        let asked: Vec<_> = (0..requests)
            .map(|n| (FIRST_PERSON + n % people, self.next_request_for_approval()))
            .collect();
        self.until_all_have_a_status(namespace, asked).await?;
        tokio::time::sleep(SETTLED).await;
        let used = self.replicas()?.processor_time()? - used_before;
        Ok(used / u32::try_from(requests.max(1))?)
    }

    async fn until_all_have_a_status(
        &self,
        namespace: &'static str,
        requests: Vec<(usize, serde_json::Value)>,
    ) -> Result<()> {
        let crowd = Crowd::new(&self.ground.stage.admin, namespace, WAITING);
        let label = "requests for approval";
        let asked = crowd
            .ask(requests, SENT_AT_A_TIME, label, &self.progress)
            .await?;
        let uids = uids(&asked);
        let phases = self
            .sightings
            .all(&uids, "has a status", PATIENCE, |s| s.phase);
        phases.await.map(drop)
    }

    /// The same while alice makes a request in the other flow now and then; returns her times to
    /// the link.
    async fn while_alice_asks(
        &mut self,
        namespace: &'static str,
        people: usize,
        requests: usize,
    ) -> Result<Latencies> {
        let asked: Vec<_> = (0..requests)
            .map(|n| (FIRST_PERSON + n % people, self.next_request_for_approval()))
            .collect();
        // More numbers than she can use meanwhile.
        let first = self.next;
        self.next += PATIENCE.as_secs() as usize;
        let (stop, stopped) = oneshot::channel::<()>();
        let this = &*self;
        let crowd = async {
            let all = this.until_all_have_a_status(namespace, asked).await;
            drop(stop);
            all
        };
        let alice = futures::stream::iter(first..)
            .then(|number| async move {
                tokio::time::sleep(ALICE_ASKS_EVERY).await;
                number
            })
            .take_until(stopped)
            .map(|n| loans::lend(&this.ground.stage, n, this.integration(n)))
            .buffer_unordered(this.scale.waiting)
            .map_ok(|loan| loan.to_link)
            .try_collect::<Vec<_>>();
        let (all, alice) = tokio::join!(crowd, alice);
        all?;
        Ok(alice?.into_iter().collect())
    }

    /// The numbers of the requests by phase and reason.
    async fn what_became(&self, namespace: &str) -> Result<String> {
        let grants = Api::<AccessGrant>::namespaced(self.ground.stage.admin.clone(), namespace);
        let mut became: BTreeMap<String, usize> = BTreeMap::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = grants.list(&page).await?;
            for status in list.items.into_iter().filter_map(|grant| grant.status) {
                let accepted = status.conditions.iter().find(|c| c.type_ == ACCEPTED);
                let reason = accepted.map_or("", |accepted| &accepted.reason);
                let phase = status.phase.unwrap_or_default();
                *became.entry(format!("{phase:?} ({reason})")).or_default() += 1;
            }
            match list.metadata.continue_ {
                Some(token) if !token.is_empty() => page = page.continue_token(&token),
                _ => break,
            }
        }
        let became: Vec<_> = became
            .iter()
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        Ok(became.join(", "))
    }

    /// Restarts the operator beside the pending requests, while alice makes a request.
    async fn restart_under_load(&mut self, of: &str, section: &mut Section) -> Result<()> {
        self.progress
            .say("the operator restarts with all that waits");
        let replicas = self.take_replicas()?;
        let began_to_stop = stopwatch::now();
        let mut replicas = replicas.restart_one(&self.ground).await?;
        let stopping = began_to_stop.elapsed();
        let peak = replicas.follow_memory();
        let loan = self.lend().await?;
        replicas.until_complete(&self.ground).await?;
        self.replicas = Some(replicas);
        self.rest().await?;
        section.add(
            in_seconds(
                format!("{of}: a restart, from its start to alice's link"),
                loan.to_link,
            )
            .made_of(format!(
                "she asks at that moment; stopping both replicas had taken {:.1} s",
                stopping.as_secs_f64()
            )),
        );
        section.add(in_megabytes(
            format!("{of}: a restart, RssAnon, peak"),
            peak.so_far(),
        ));
        section.add(in_megabytes(
            format!("{of}: a restart, RssAnon, at rest"),
            self.replicas()?.memory()?.anonymous,
        ));
        Ok(())
    }

    async fn delete_all(&mut self, namespace: &str) -> Result<()> {
        self.progress.say("the requests are deleted");
        let grants = Api::<AccessGrant>::namespaced(self.ground.stage.admin.clone(), namespace);
        let page = ListParams::default().limit(PAGE);
        loop {
            let some = grants.list_metadata(&page).await?.items;
            if some.is_empty() {
                return self.rest().await;
            }
            // A single deletion of all of them would take longer than the API server allows.
            let deleting = some.iter().map(|grant| {
                let (grants, name) = (&grants, grant.name_any());
                async move { grants.delete(&name, &DeleteParams::default()).await }
            });
            futures::stream::iter(deleting)
                .buffer_unordered(SENT_AT_A_TIME)
                .try_for_each(|_| async { Ok(()) })
                .await?;
        }
    }
}
