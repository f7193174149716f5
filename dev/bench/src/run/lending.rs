//! Loans: the first one, one at a time, many at a time, and their renewals, with their times and
//! costs.

use std::time::Duration;

use anyhow::Result;

use super::findings::Findings;
use super::setting::Setting;
use crate::floor::Floor;
use crate::loans::{self, Batch, Loan};
use crate::report::{Figure, Unit};
use crate::service::Requests;

/// Aims, all of them upper limits.
const RESIDENT_WITH_ONE: f64 = 40.0;
const RESIDENT_FOR_EACH_MORE: f64 = 6.0;
const REQUESTS_WHEN_REBUILT: f64 = 10.0;
const REQUESTS_WHEN_WARM: f64 = 4.0;
const REQUESTS_PER_RENEWAL: f64 = 2.0;
const WRITES_TO_ACTIVE: f64 = 6.0;

/// The idle time after which the operator drops a client, in the parts that need rebuilt clients.
const IDLE_SECONDS: u64 = 3;

/// The floor, at both speeds.
pub struct FloorBatches {
    one_at_a_time: Batch,
    many_at_a_time: Batch,
}

impl Setting {
    /// Starts an operator that has done nothing else. First one integration shares once, then all
    /// of them; measures their memory.
    pub async fn connect_all(&mut self, found: &mut Findings) -> Result<Loan> {
        self.progress.say("the operator with one integration");
        self.start_operator(&[])?;
        self.ground
            .stage
            .integrate(1..=1, &self.ground.service)
            .await?;
        let first = self.lend(1).await?;
        self.active.push(first.clone());
        self.settle().await?;
        let alone = self.memory()?;
        found.remember(
            "1 integration, signed in, has shared once",
            alone,
            Some(RESIDENT_WITH_ONE),
        );

        let all = self.scale.integrations;
        let more = all - 1;
        let count = self
            .progress
            .count("more integrations, each of which shares once", more);
        self.ground.service.forget_requests().await?;
        self.ground
            .stage
            .integrate(2..=all, &self.ground.service)
            .await?;
        self.settle().await?;
        let discovery = self.ground.service.requests().await?;
        for integration in 2..=all {
            let loan = self.lend(integration).await?;
            self.active.push(loan);
            count.one();
        }
        self.settle().await?;
        let memory = self.memory()?;
        found.requests.add(
            Figure::new(
                "discovery: sign-in, vaults, items, policy of one",
                discovery.all() as f64 / more as f64,
                Unit::Requests,
            )
            .made_of(format!("for {more}: {discovery}")),
        );
        found.remember(
            &format!("{all} integrations, signed in, have shared once"),
            memory,
            None,
        );
        let resident = (memory.resident - alone.resident) / more as f64;
        let anonymous = (memory.anonymous - alone.anonymous) / more as f64;
        found.memory.add(
            Figure::new("each further integration: VmRSS", resident, Unit::Megabytes)
                .at_most(RESIDENT_FOR_EACH_MORE),
        );
        found.memory.add(Figure::new(
            "each further integration: RssAnon",
            anonymous,
            Unit::Megabytes,
        ));
        Ok(first)
    }

    /// Writes the objects of loans without the operator.
    pub async fn measure_floor(&mut self, pattern: &Loan) -> Result<FloorBatches> {
        self.stop_operator().await?;
        let floor = Floor::new(&self.ground.stage, self.ground.operators_client(), pattern).await?;
        let (loans, many, progress) = (self.scale.loans, self.scale.at_a_time, self.progress);
        let one_at_a_time = loans::batch("the floor, one at a time", 0..loans, 1, &progress, |n| {
            floor.lend(n)
        })
        .await?;
        let label = format!("the floor, {many} at a time");
        let many_at_a_time =
            loans::batch(&label, loans..2 * loans, many, &progress, |n| floor.lend(n)).await?;
        progress.say("deleting the floor's objects");
        floor.clear(&self.ground.stage.admin).await?;
        Ok(FloorBatches {
            one_at_a_time,
            many_at_a_time,
        })
    }

    /// The operator again: one loan after the other, from one integration.
    pub async fn lend_one_at_a_time(
        &mut self,
        floor: &FloorBatches,
        found: &mut Findings,
    ) -> Result<()> {
        self.restart_operator(&[]).await?;
        self.lend(1).await?;
        self.settle().await?;
        self.ground.service.forget_requests().await?;
        let mark = self.audit.mark()?;

        let batch = self
            .lend_batch("loans, one at a time", self.scale.loans, 1, |_| 1)
            .await?;
        self.settle().await?;
        let requests = self.ground.service.requests().await?;
        let writes = self.audit.writes_since(mark, &loans::names(&batch.loans))?;
        let loans = batch.loans.len();
        found.compare("one at a time", &batch, &floor.one_at_a_time);
        let each = requests_for_each("a loan, on a client that is signed in", &requests, loans);
        found.requests.add(each.at_most(REQUESTS_WHEN_WARM));
        let each = writes.of_loans() as f64 / loans as f64;
        found.writes.add(
            Figure::new("a loan, from the request to Active", each, Unit::Writes)
                .at_most(WRITES_TO_ACTIVE)
                .made_of(writes.per_loan(loans)),
        );
        self.active.extend(batch.loans);
        Ok(())
    }

    /// Renewals of loans whose first link is deleted, from one integration.
    pub async fn renew(&mut self, found: &mut Findings) -> Result<()> {
        let is_of_the_first = |loan: &&Loan| loan.integration == 1;
        // The very first loan precedes the operator's restart, after which the operator reads the
        // sharing policy again.
        let of_the_first = self.active.iter().filter(is_of_the_first).skip(1);
        let renewed: Vec<Loan> = of_the_first.take(self.scale.renewals).cloned().collect();
        self.ground.service.forget_requests().await?;
        let mark = self.audit.mark()?;
        self.renew_each(&renewed).await?;
        self.settle().await?;
        let requests = self.ground.service.requests().await?;
        let writes = self.audit.writes_since(mark, &loans::names(&renewed))?;
        let what = "a renewal, on a client that is signed in";
        let each = requests_for_each(what, &requests, renewed.len());
        found.requests.add(each.at_most(REQUESTS_PER_RENEWAL));
        found.writes.add(
            Figure::new(
                "a renewal, its first link deleted by hand",
                writes.of_loans() as f64 / renewed.len() as f64,
                Unit::Writes,
            )
            .made_of(writes.per_loan(renewed.len())),
        );
        Ok(())
    }

    /// Many requests at a time, to all integrations.
    pub async fn lend_many_at_a_time(
        &mut self,
        floor: &FloorBatches,
        found: &mut Findings,
    ) -> Result<()> {
        let (many, all) = (self.scale.at_a_time, self.scale.integrations);
        let of = |number: usize| number % all + 1;
        let batch = self
            .lend_batch(
                &format!("loans, {many} at a time"),
                self.scale.loans,
                many,
                of,
            )
            .await?;
        found.compare(&format!("{many} at a time"), &batch, &floor.many_at_a_time);
        self.active.extend(batch.loans);
        let missing = self.scale.active.saturating_sub(self.active.len());
        if missing > 0 {
            let rest = self.lend_batch("more loans", missing, many, of).await?;
            self.active.extend(rest.loans);
        }
        self.settle().await?;
        let state = format!("{all} integrations and {} active grants", self.active.len());
        found.remember(&state, self.memory()?, None);
        Ok(())
    }

    /// Loans with clients that were dropped because they were idle, and that are built again.
    pub async fn lend_on_rebuilt_clients(&mut self, found: &mut Findings) -> Result<()> {
        let (all, idle) = (self.scale.integrations, IDLE_SECONDS.to_string());
        self.progress.say(&format!(
            "loans on clients that were dropped after {idle} s"
        ));
        self.restart_operator(&["--idle-timeout", &idle]).await?;
        self.until_clients_are_dropped().await?;
        let mut lent = Vec::new();
        for integration in 1..=all {
            lent.push(self.lend(integration).await?);
        }
        let requests = self.ground.service.requests().await?;
        let each = requests_for_each("a loan, on a client just rebuilt", &requests, all);
        found.requests.add(each.at_most(REQUESTS_WHEN_REBUILT));
        self.until_clients_are_dropped().await?;
        self.renew_each(&lent).await?;
        let requests = self.ground.service.requests().await?;
        let each = requests_for_each("a renewal, on a client just rebuilt", &requests, all);
        found.requests.add(each);
        self.active.extend(lent);
        Ok(())
    }

    /// Waits until the operator has dropped all clients, and counts requests from then on.
    async fn until_clients_are_dropped(&mut self) -> Result<()> {
        tokio::time::sleep(Duration::from_secs(2 * IDLE_SECONDS)).await;
        self.ground.service.forget_requests().await
    }

    /// Renews each of these loans once, one after the other.
    async fn renew_each(&mut self, loans: &[Loan]) -> Result<()> {
        let count = self.progress.count("renewals", loans.len());
        for loan in loans {
            self.ground
                .stage
                .ask_for_renewal(&loan.name, &loan.uid)
                .await?;
            let second =
                |seen: &crate::arrivals::Seen| seen.sequence.filter(|sequence| *sequence == 2);
            self.ground
                .stage
                .arrivals
                .wait(&loan.uid, "its second link is there", second)
                .await?;
            count.one();
        }
        Ok(())
    }

    /// Makes one loan.
    async fn lend(&mut self, integration: usize) -> Result<Loan> {
        let number = self.next_numbers(1).start;
        loans::lend(&self.ground.stage, number, integration).await
    }

    async fn lend_batch(
        &mut self,
        what: &str,
        loans: usize,
        at_a_time: usize,
        integration: impl Fn(usize) -> usize,
    ) -> Result<Batch> {
        let numbers = self.next_numbers(loans);
        let (stage, progress) = (&self.ground.stage, &self.progress);
        loans::batch(what, numbers, at_a_time, progress, |n| {
            loans::lend(stage, n, integration(n))
        })
        .await
    }
}

/// The requests divided by the number of cases, with listing separate.
fn requests_for_each(what: &str, requests: &Requests, of: usize) -> Figure {
    let each = requests.lending as f64 / of as f64;
    Figure::new(what, each, Unit::Requests).made_of(requests.to_string())
}
