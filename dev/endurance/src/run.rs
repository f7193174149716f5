//! One run: the kills, then the planned stops, then the end of all loans and the check.

use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;
use keyloan_ledger::{Limits, check};
use tokio::task::JoinSet;

use crate::aim;
use crate::ground::Ground;
use crate::leads::Lead;
use crate::lost::Lost;
use crate::operators::Operators;
use crate::people;
use crate::progress::Progress;
use crate::report::{Report, Times, load_average};
use crate::settle;

/// What to do.
pub struct Plan {
    /// How often to kill.
    pub kills: usize,
    /// How often to stop.
    pub terminations: usize,
    /// The time limit for both.
    pub at_most: Duration,
    /// How many people borrow.
    pub people: usize,
    /// Whether to keep the folder of the control plane.
    pub keep: bool,
    /// The seed of all choices.
    pub seed: u64,
}

/// A run in progress.
struct Run<'a> {
    plan: &'a Plan,
    ground: &'a Ground,
    operators: Operators,
    lead: Lead,
    people: JoinSet<Result<()>>,
    progress: Progress,
    chance: fastrand::Rng,
    report: Report,
    /// The times at which leaders were killed.
    killed_at: Vec<Timestamp>,
}

/// Runs the plan.
pub async fn run(plan: &Plan) -> Result<Report> {
    let ground = Ground::prepare(plan.keep).await?;
    let mut operators = Operators::start(&ground)?;
    let lead = Lead::new(&ground.admin);
    lead.until_held(&mut operators, Timestamp::UNIX_EPOCH)
        .await?;
    ground.until_ready().await?;
    let progress = Progress::start(&ground.admin);
    progress.say(&format!("the seed is {}", plan.seed));
    if plan.keep {
        progress.say(&format!("all is kept in {}", ground.folder().display()));
    }
    let mut run = Run {
        people: people::gather(&ground, plan.people, plan.seed).await?,
        chance: fastrand::Rng::with_seed(plan.seed),
        report: Report::begin(plan.seed),
        killed_at: Vec::new(),
        ground: &ground,
        plan,
        operators,
        lead,
        progress,
    };
    run.kill_again_and_again().await?;
    let before = settle::records(&ground.admin).await?;
    run.stop_again_and_again().await?;
    run.people.shutdown().await;
    ground.control.clear_faults().await?;
    run.settle().await?;
    let Run {
        mut report,
        operators,
        progress,
        killed_at,
        ..
    } = run;
    report.ended_by_themselves = operators.ended_by_themselves.clone();
    operators.strike().await?;
    progress.say("the check of the records");
    let given = settle::ledger(&ground, before).await?;
    let findings = check(&given, &Limits::at(Timestamp::now()));
    report.count(&given, Lost::of(&given.records, &killed_at), findings);
    report.seconds = progress.elapsed().as_secs();
    report.load_at_the_end = load_average();
    report.judge(plan.kills, plan.terminations);
    ground.strike().await;
    Ok(report)
}

impl Run<'_> {
    /// Kills the leader most of the time, and the other one now and then.
    async fn kill_again_and_again(&mut self) -> Result<()> {
        while self.report.kills < self.plan.kills && self.goes_on()? {
            aim::take(&self.ground.control, &mut self.chance).await?;
            let (place, leads) = self.aimed_at().await;
            // A new pod has to wait for the lease of the one that was killed.
            let in_new_pod = self.chance.u8(0..20) == 0;
            let at = Timestamp::now();
            self.operators.kill(place, in_new_pod).await?;
            self.report.kills += 1;
            let led_after = self.lead.until_held(&mut self.operators, at).await?;
            if leads {
                self.killed_at.push(at);
                let times = match in_new_pod {
                    true => &mut self.report.lead_after_kill_in_new_pod,
                    false => &mut self.report.lead_after_kill,
                };
                times.push(led_after);
            }
        }
        Ok(())
    }

    /// The same with planned stops.
    async fn stop_again_and_again(&mut self) -> Result<()> {
        while self.report.terminations < self.plan.terminations && self.goes_on()? {
            aim::take(&self.ground.control, &mut self.chance).await?;
            let (place, leads) = self.aimed_at().await;
            let at = Timestamp::now();
            let took = self.operators.stop(place).await?;
            self.report.terminations += 1;
            self.report.stop.push(took);
            let led_after = self.lead.until_held(&mut self.operators, at).await?;
            if leads {
                self.report.lead_after_stop.push(led_after);
            }
        }
        Ok(())
    }

    /// The place of the next replica to hit, and whether it leads.
    async fn aimed_at(&mut self) -> (usize, bool) {
        let holder = self.lead.holder().await;
        let leader = self.operators.place_of(holder.as_deref());
        let is_known = holder.is_some_and(|holder| self.operators.has(&holder));
        match self.chance.u8(0..6) {
            0 => (1 - leader, false),
            _ => (leader, is_known),
        }
    }

    /// Whether there is time left; tells the progress. Fails if somebody cannot borrow any longer.
    fn goes_on(&mut self) -> Result<bool> {
        self.operators.look_after()?;
        self.progress
            .tell(self.report.kills, self.report.terminations);
        while let Some(ended) = self.people.try_join_next() {
            match ended? {
                Ok(()) => bail!("somebody has stopped to borrow"),
                Err(error) => return Err(error.context("somebody can no longer borrow")),
            }
        }
        let goes_on = self.progress.elapsed() < self.plan.at_most;
        self.report.stopped_by_time_limit |= !goes_on;
        Ok(goes_on)
    }

    async fn settle(&mut self) -> Result<()> {
        self.progress.say("all loans are revoked");
        settle::end_all(&self.ground.admin).await?;
        if let Err(error) = settle::until_settled(&self.ground.admin).await {
            self.report
                .broken
                .push(format!("not all loans have ended: {error:#}"));
        }
        Ok(())
    }
}

impl Times {
    fn push(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64());
    }
}
