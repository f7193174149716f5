//! The writes that the end of a loan costs.
//!
//! The links of a loan that is cut off may open for up to an hour more, and the last write comes
//! after that. The remaining loans end hours later. So finally the operator runs inside this
//! process, with a clock that is ahead.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::SignedDuration;
use keyloan::api::{AccessRecord, Phase};
use keyloan::cluster::KubeAccess;
use keyloan::onepassword::{AllowedOrigins, Origin};
use keyloan::operator::{Settings, start};
use keyloan::runtime::Clock;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::findings::Findings;
use super::setting::Setting;
use crate::loans::{self, Loan};
use crate::report::{Figure, Unit};
use crate::stage::{HOURS, PLATFORM};
use crate::stopwatch;

/// From Active to Ended, at most.
const WRITES_TO_ENDED: f64 = 5.0;
/// How long it may take until all these loans have ended.
const ENDED_WITHIN: Duration = Duration::from_secs(300);

/// Loans that were cut off, with the writes for that.
pub struct CutOff {
    loans: Vec<Loan>,
    writes: u64,
    made_of: String,
}

impl Setting {
    /// The requester deletes the grants.
    pub async fn delete_some(&mut self, found: &mut Findings) -> Result<()> {
        let deleted: Vec<Loan> = self
            .active
            .drain(..self.scale.ended.min(self.active.len()))
            .collect();
        self.progress
            .say(&format!("{} grants are deleted", deleted.len()));
        let mark = self.audit.mark()?;
        self.ground
            .stage
            .delete(deleted.iter().map(|loan| loan.name.clone()))
            .await?;
        self.until_records_have_ended(&deleted).await?;
        self.settle().await?;
        let writes = self.audit.writes_since(mark, &loans::names(&deleted))?;
        let each = writes.of_loans() as f64 / deleted.len() as f64;
        found.writes.add(
            Figure::new(
                "a loan whose grant is deleted, to the end of its record",
                each,
                Unit::Writes,
            )
            .at_most(WRITES_TO_ENDED)
            .made_of(writes.per_loan(deleted.len())),
        );
        Ok(())
    }

    /// The last integration blocks the requester: these loans are cut off, but their links may open
    /// for a while.
    pub async fn cut_some_off(&mut self) -> Result<CutOff> {
        let last = self.scale.integrations;
        let (loans, rest): (Vec<Loan>, Vec<Loan>) = self
            .active
            .drain(..)
            .partition(|loan| loan.integration == last);
        self.active = rest;
        self.progress.say(&format!(
            "{} loans are cut off: their requester is blocked",
            loans.len()
        ));
        let mark = self.audit.mark()?;
        self.ground.stage.block_alice(last).await?;
        self.until(&loans, Phase::Ending).await?;
        self.settle().await?;
        let writes = self.audit.writes_since(mark, &loans::names(&loans))?;
        let made_of = writes.per_loan(loans.len());
        Ok(CutOff {
            loans,
            writes: writes.of_loans(),
            made_of,
        })
    }

    /// Moves the clock past the end of all loans.
    pub async fn let_all_end(&mut self, cut_off: CutOff, found: &mut Findings) -> Result<()> {
        self.stop_operator().await?;
        let ahead = SignedDuration::from_hours(HOURS + 1);
        self.progress.say(&format!(
            "the operator's clock is {ahead:#} ahead: {} loans expire at once",
            self.active.len()
        ));
        self.ground
            .service
            .control
            .advance_clock(Duration::try_from(ahead)?)
            .await?;
        let clock = Clock::system();
        clock.advance(ahead);
        let settings = Settings {
            kube: KubeAccess::Kubeconfig(self.ground.operator_kubeconfig.clone()),
            allowed_origins: AllowedOrigins::with([Origin::parse(
                self.ground.service.control.origin(),
            )?]),
            clock,
            ..Settings::new(&self.ground.compiled_core)
        };
        let mark = self.audit.mark()?;
        let began = stopwatch::now();
        let operator = start(settings).await?;
        self.until(&self.active, Phase::Ended).await?;
        let took = began.elapsed();
        self.until(&cut_off.loans, Phase::Ended).await?;
        self.settle().await?;
        operator.stop().await?;

        let at_last = self
            .audit
            .writes_since(mark, &loans::names(&cut_off.loans))?;
        let writes = self.audit.writes_since(mark, &loans::names(&self.active))?;
        let count = cut_off.loans.len();
        let each = (cut_off.writes + at_last.of_loans()) as f64 / count as f64;
        found.writes.add(
            Figure::new(
                "a loan that is cut off, from Active to Ended",
                each,
                Unit::Writes,
            )
            .at_most(WRITES_TO_ENDED)
            .made_of(format!(
                "{}; when the link has ended: {}",
                cut_off.made_of,
                at_last.per_loan(count)
            )),
        );
        let expired = self.active.len();
        found.writes.add(
            Figure::new(
                "a loan that expires, from Active to Ended",
                writes.of_loans() as f64 / expired as f64,
                Unit::Writes,
            )
            .at_most(WRITES_TO_ENDED)
            .made_of(writes.per_loan(expired)),
        );
        found.latency.add(
            Figure::new(
                format!("{expired} loans that expire while the operator is down"),
                took.as_secs_f64(),
                Unit::Seconds,
            )
            .made_of("from the operator's start until a watch has shown each of them Ended"),
        );
        Ok(())
    }

    async fn until(&self, loans: &[Loan], phase: Phase) -> Result<()> {
        for loan in loans {
            let what = format!("it is {phase:?}");
            self.ground
                .stage
                .arrivals
                .wait(&loan.uid, &what, |seen| {
                    seen.phase.filter(|now| *now == phase)
                })
                .await?;
        }
        Ok(())
    }

    async fn until_records_have_ended(&self, loans: &[Loan]) -> Result<()> {
        let records = Api::<AccessRecord>::namespaced(self.ground.stage.admin.clone(), PLATFORM);
        let began = stopwatch::now();
        loop {
            let all = records.list(&ListParams::default()).await?;
            let ended: HashSet<String> = all
                .iter()
                .filter(|record| record.spec.end.is_some())
                .map(ResourceExt::name_any)
                .collect();
            let rest = loans
                .iter()
                .filter(|loan| !ended.contains(&loan.uid))
                .count();
            if rest == 0 {
                return Ok(());
            }
            if began.elapsed() > ENDED_WITHIN {
                bail!(
                    "{rest} of {} records have not ended within {ENDED_WITHIN:?}",
                    loans.len()
                );
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
