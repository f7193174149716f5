//! Many loans that end at once, and one that is revoked meanwhile.

use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::Role;
use keyloan::api::link_name;
use keyloan_cluster::LINKS_NAMESPACE;
use kube::Api;
use kube::api::DeleteParams;

use super::crowd::{Asked, uids};
use super::{BURST, Load, PATIENCE, in_milliseconds, in_seconds, per_second, ratio};
use crate::floor::Floor;
use crate::loans;
use crate::report::{Figure, Section, Unit};
use crate::stage::TEAM;
use crate::stopwatch;

/// Aims, all upper limits: in milliseconds, and as a ratio to the floor.
const ONE_REVOKED: f64 = 1000.0;
const ALL_ENDED: f64 = 3.0;
/// The number of loans whose objects the bare client deletes concurrently.
const AT_A_TIME: usize = 16;

impl Load {
    /// Blocks the burst's people, and revokes one other loan at the same time.
    pub(super) async fn end_all(&mut self, lent: &[Asked]) -> Result<Section> {
        let loans = lent.len();
        let mut section = Section::new(
            "Ends",
            format!(
                "The group whose people hold {loans} loans is blocked in {} integrations; until a \
                 watch shows that the last link Secret is gone. Right after that, one other loan \
                 is revoked. The floor: a bare client with the operator's identity deletes the \
                 Secrets and Roles of as many copies of a loan, beside all other objects, \
                 {AT_A_TIME} at a time.",
                self.scale.integrations
            ),
        );
        let floor = self.delete_bare(loans).await?;
        let other = self.lend().await?;
        self.rest().await?;
        self.progress
            .say(&format!("{loans} loans end: their people are blocked"));
        let uids = uids(lent);
        let used_before = self.replicas()?.processor_time()?;
        let began = stopwatch::now();
        let stage = &self.ground.stage;
        for integration in 1..=self.scale.integrations {
            stage.block_group(integration, BURST).await?;
        }
        let revoked = stopwatch::now();
        stage.revoke(TEAM, &other.name, &other.uid).await?;
        let gone = self
            .sightings
            .all(&uids, "has lost its link", PATIENCE, |s| s.link_gone);
        let gone = gone.await?;
        let took = gone
            .iter()
            .max()
            .map_or(Duration::ZERO, |last| *last - began);
        self.rest().await?;
        let used = self.replicas()?.processor_time()? - used_before;
        section.add(
            in_seconds(format!("{loans} ends, until the last Secret is gone"), took)
                .made_of(format!("{:.0} per second", per_second(loans, took))),
        );
        let detail = format!(
            "the floor takes {:.1} s, {:.0} per second",
            floor.as_secs_f64(),
            per_second(loans, floor)
        );
        section.add(
            Figure::new(
                "all ends: ratio to the floor",
                ratio(took, floor),
                Unit::Ratio,
            )
            .at_most(ALL_ENDED)
            .made_of(detail),
        );
        let each = used / u32::try_from(loans.max(1))?;
        section.add(in_milliseconds(
            "processor time of the operator, each end",
            each,
        ));

        let uid = [other.uid];
        let gone = self
            .sightings
            .all(&uid, "has lost its link", PATIENCE, |s| s.link_gone);
        let took = gone
            .await?
            .first()
            .map_or(Duration::ZERO, |gone| *gone - revoked);
        section.add(
            in_milliseconds(
                "one other loan is revoked meanwhile, until its Secret is gone",
                took,
            )
            .at_most(ONE_REVOKED)
            .made_of("from sending the decision"),
        );
        Ok(section)
    }

    /// The time to delete as many links' Secrets and Roles, beside the existing ones, with the
    /// operator's identity.
    async fn delete_bare(&mut self, count: usize) -> Result<Duration> {
        let pattern = self.lend().await?;
        self.take_replicas()?.stop().await?;
        let client = self.ground.operators_client().await?;
        let floor =
            Floor::new(&self.ground.stage, self.ground.operators_client(), &pattern).await?;
        let first = self.next;
        self.next += count;
        let label = "loans' objects for a bare client to delete";
        let numbers = first..self.next;
        let made = loans::batch(label, numbers, AT_A_TIME, &self.progress, |n| floor.lend(n));
        let links: Vec<_> = made
            .await?
            .loans
            .iter()
            .map(|l| link_name(&l.uid))
            .collect();
        let roles = Api::<Role>::namespaced(client.clone(), LINKS_NAMESPACE);
        let secrets = Api::<Secret>::namespaced(client, LINKS_NAMESPACE);
        let began = stopwatch::now();
        let deleting = links.iter().map(|name| {
            let (roles, secrets) = (&roles, &secrets);
            async move {
                secrets.delete(name, &DeleteParams::default()).await?;
                roles.delete(name, &DeleteParams::default()).await?;
                anyhow::Ok(())
            }
        });
        let deleted = futures::stream::iter(deleting).buffer_unordered(AT_A_TIME);
        deleted.try_collect::<()>().await?;
        let took = began.elapsed();
        floor.clear(&self.ground.stage.admin).await?;
        self.start_replicas().await?;
        Ok(took)
    }
}
