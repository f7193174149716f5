//! `cargo xtask kill`: the kills, then the planned stops, then the end of all loans and the check.

mod acts;
mod aim;
mod notices;
mod report;

use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use keyloan_ledger::{Limits, check};
use tokio::task::JoinSet;

use crate::Common;
use crate::clock::Clock;
use crate::figures::load_average;
use crate::ground::{Ground, operator_program};
use crate::leads::Lead;
use crate::lost::Lost;
use crate::operators::Operators;
use crate::people::{self, Habits};
use crate::progress::Progress;
use crate::settle;
use acts::Killed;
use notices::Receivers;
use report::Report;

/// Kills the operator at random moments and restarts it, and then stops it as a rollout does, while
/// several people borrow. Two replicas run under one lease. Afterwards all loans are ended, and the
/// records are checked against the simulated 1Password and the API server's audit log, and three
/// receivers of notices against the records.
///
/// The exit code is 1 if a promise is broken.
#[derive(clap::Args)]
pub struct Arguments {
    /// How often to kill a replica (SIGKILL)
    #[arg(long, default_value_t = 500)]
    kills: usize,
    /// How often to stop a replica (SIGTERM), after the kills
    #[arg(long, default_value_t = 200)]
    terminations: usize,
    /// Stop after this time, whatever remains to be done
    #[arg(long, default_value_t = 90)]
    minutes: u64,
    #[command(flatten)]
    pub common: Common,
}

/// How the operator's program is told to run, with an address for its health that is free.
const OPERATOR: [&str; 2] = ["run", "--listen=127.0.0.1:0"];

/// The longest time from a link's intent until it is in its Secret. 1Password's answer is at most
/// a second late here.
const MADE_WITHIN: SignedDuration = SignedDuration::from_secs(6);
/// The longest loan in minutes: none ends by itself.
const LONGEST: u64 = 720;

/// A run in progress.
struct Run<'a> {
    told: &'a Arguments,
    ground: &'a Ground,
    operators: Operators,
    lead: Lead,
    people: JoinSet<Result<()>>,
    progress: Progress,
    chance: fastrand::Rng,
    report: Report,
    /// The leaders that were killed.
    killed: Vec<Killed>,
}

/// Runs, and tells the result.
pub async fn run(told: &Arguments) -> Result<Report> {
    let seed = told.common.seed();
    let ground = Ground::prepare(told.common.keep).await?;
    let receivers = Receivers::start(&ground.admin).await?;
    let words = Receivers::words();
    let words: Vec<_> = OPERATOR
        .into_iter()
        .chain(words.iter().map(String::as_str))
        .collect();
    let mut operators = Operators::start(&ground, operator_program()?, &words)?;
    let lead = Lead::new(&ground.admin);
    lead.until_held(&mut operators, Timestamp::UNIX_EPOCH)
        .await?;
    ground.until_ready().await?;
    let progress = Progress::start(&ground.admin);
    progress.say(&format!("the seed is {seed}"));
    if told.common.keep {
        progress.say(&format!("all is kept in {}", ground.folder().display()));
    }
    let habits = Habits {
        longest: LONGEST,
        loses_secrets: true,
        clock: Clock::default(),
    };
    let mut run = Run {
        people: people::gather(&ground, told.common.people, seed, &habits).await?,
        chance: fastrand::Rng::with_seed(seed),
        report: Report::begin(seed),
        killed: Vec::new(),
        ground: &ground,
        told,
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
    run.progress.say("the last notices");
    run.report.heard(receivers.judge(&ground.admin).await?);
    let Run {
        mut report,
        operators,
        progress,
        killed,
        ..
    } = run;
    report.ended_by_themselves = operators.ended_by_themselves.clone();
    operators.strike().await?;
    progress.say("the check of the records");
    let given = settle::ledger(&ground, before).await?;
    let limits = Limits::at(Timestamp::now());
    let findings = check(&given, &limits);
    let killed_at: Vec<_> = killed.iter().map(|kill| kill.at).collect();
    report.act_after_kill = acts::times(&ground.audit_log(), &limits.operator, &killed)?;
    report.count(
        &given,
        Lost::of(&given.records, &killed_at, MADE_WITHIN),
        findings,
    );
    report.seconds = progress.elapsed().as_secs();
    report.load_at_the_end = load_average();
    report.judge(told.kills, told.terminations);
    ground.strike().await;
    Ok(report)
}

impl Run<'_> {
    /// Kills the leader most of the time, and the other one now and then.
    async fn kill_again_and_again(&mut self) -> Result<()> {
        while self.report.kills < self.told.kills && self.goes_on()? {
            aim::take(&self.ground.control, &mut self.chance).await?;
            let (place, leads) = self.aimed_at().await;
            // A new pod has to wait for the lease of the one that was killed.
            let in_new_pod = self.chance.u8(0..20) == 0;
            let at = Timestamp::now();
            self.operators.kill(place, in_new_pod).await?;
            self.report.kills += 1;
            let led_after = self.lead.until_held(&mut self.operators, at).await?;
            if leads {
                self.killed.push(Killed { at, led_after });
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
        while self.report.terminations < self.told.terminations && self.goes_on()? {
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
        people::all_go_on(&mut self.people)?;
        let goes_on = self.progress.elapsed() < Duration::from_secs(60 * self.told.minutes);
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
