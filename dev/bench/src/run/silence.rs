//! A restarted operator that has discovered everything sends no request to 1Password until somebody
//! makes a request.

use std::time::Duration;

use anyhow::Result;

use super::findings::Findings;
use super::setting::Setting;
use crate::loans;
use crate::report::{Figure, Unit};
use crate::stopwatch;

/// The interval of the progress lines.
const SAID_EVERY: Duration = Duration::from_secs(30);

impl Setting {
    /// Restarts the operator and watches the service's log.
    pub async fn keep_silent(&mut self, found: &mut Findings) -> Result<()> {
        let (all, active) = (self.scale.integrations, self.active.len());
        self.progress.say(&format!(
            "the operator restarts with {all} integrations and {active} active grants"
        ));
        let mark = self.audit.mark()?;
        let began = stopwatch::now();
        self.restart_operator(&[]).await?;
        let took = began.elapsed();
        let discovery = self.ground.service.requests().await?;
        let writes = self.audit.writes_since(mark, &loans::names(&self.active))?;
        found.remember(
            "the same after a restart, all discovered",
            self.memory()?,
            None,
        );
        found.requests.add(
            Figure::new(
                "a restart, for each integration",
                discovery.all() as f64 / all as f64,
                Unit::Requests,
            )
            .made_of(format!(
                "for {all}, in {:.0} s: {discovery}",
                took.as_secs_f64()
            )),
        );
        found.writes.add(
            Figure::new(
                "a restart, for each active grant",
                writes.of_loans() as f64 / active as f64,
                Unit::Writes,
            )
            .made_of(writes.per_loan(active)),
        );

        self.ground.service.forget_requests().await?;
        let quiet = self.scale.quiet;
        self.progress.say(&format!(
            "watching the service's log for {} s",
            quiet.as_secs()
        ));
        let began = stopwatch::now();
        while let Some(rest) = quiet
            .checked_sub(began.elapsed())
            .filter(|rest| !rest.is_zero())
        {
            tokio::time::sleep(rest.min(SAID_EVERY)).await;
            let so_far = self.ground.service.requests().await?.all();
            self.progress.say(&format!(
                "  {} of {} s: {so_far} requests",
                began.elapsed().as_secs(),
                quiet.as_secs()
            ));
        }
        let requests = self.ground.service.requests().await?;
        let label = format!(
            "{all} integrations, {active} active grants, {} s",
            quiet.as_secs()
        );
        let figure = Figure::new(label, requests.all() as f64, Unit::Requests).at_most(0.0);
        found.silence.add(if requests.all() == 0 {
            figure
        } else {
            figure.made_of(requests.to_string())
        });
        Ok(())
    }
}
