//! `cargo xtask soak`: people borrow, renew and let loans end for hours by the operator's clock,
//! which is fast, while 1Password fails and replicas are killed and stopped.

mod covered;
mod faults;
pub mod operator;
mod renewals;
mod report;

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use keyloan_cluster::Memory;
use keyloan_ledger::{Limits, check};
use tokio::task::JoinSet;

use crate::Common;
use crate::clock::{Clock, Mover};
use crate::ground::{Ground, borrower};
use crate::leads::Lead;
use crate::lost::Lost;
use crate::operators::Operators;
use crate::people::{self, Habits};
use crate::progress::Progress;
use crate::settle;
use covered::Covered;
use faults::Troubles;
use renewals::{Asked, Borrowers, Gaps};
use report::Report;

/// How often the clocks are moved.
const STEP: Duration = Duration::from_secs(1);
/// How long the replicas are left alone, in milliseconds.
const PAUSES: std::ops::Range<u64> = 8_000..20_000;
/// The longest loan in minutes.
const LONGEST: u64 = 240;

/// Lets people borrow while time passes several times as fast for the operator and the simulated
/// 1Password, which fails now and then. Replicas are killed and stopped. Afterwards all loans are
/// ended, and the records are checked.
///
/// The exit code is 1 if a promise is broken.
#[derive(clap::Args)]
pub struct Arguments {
    /// How long, at most an hour: the API server's clock cannot be moved, and a request that is a
    /// day old by the operator's clock is too old
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=60))]
    minutes: u64,
    /// How much faster time passes. A call to 1Password that takes longer than 50 s by this time
    /// is given up, so a busy machine needs a lower speed
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=20))]
    speed: u32,
    /// Kill and stop no replica. The memory of the one that leads is then compared over time
    #[arg(long)]
    calm: bool,
    #[command(flatten)]
    pub common: Common,
}

/// Runs, and tells the result.
pub async fn run(told: &Arguments) -> Result<Report> {
    let seed = told.common.seed();
    let mut chance = fastrand::Rng::with_seed(seed);
    let ground = Ground::prepare(told.common.keep).await?;
    let (clock, file) = (Clock::default(), ground.folder().join("clock"));
    let mover = Mover::new(clock.clone(), ground.control.clone(), file.clone())?;
    let file = file.to_str().context("the folder's path is not text")?;
    let speed = told.speed.to_string();
    let words = ["operator", "--clock", file, "--speed", &speed];
    let this = std::env::current_exe()?;
    let mut operators = Operators::start(&ground, this, &words)?;
    let lead = Lead::new(&ground.admin);
    lead.until_held(&mut operators, Timestamp::UNIX_EPOCH)
        .await?;
    ground.until_ready().await?;
    let mut progress = Progress::start(&ground.admin);
    progress.say(&format!("the seed is {seed}"));
    let habits = Habits {
        longest: LONGEST,
        loses_secrets: false,
        clock: clock.clone(),
    };
    let mut report = Report::begin(seed);
    let (asked, troubles) = (Asked::default(), Troubles::default());
    let covered = Covered::default();
    let mut going_on = people::gather(&ground, told.common.people, seed, &habits).await?;
    let orders = faults::happen(
        ground.control.clone(),
        fastrand::Rng::with_seed(chance.u64(..)),
        clock.clone(),
        troubles.clone(),
    );
    going_on.spawn(orders);
    let mut borrowers = Borrowers::new();
    for number in 0..told.common.people {
        borrowers.insert(borrower(number), ground.borrower(number).await?);
    }
    going_on.spawn(renewals::ask(
        ground.admin.clone(),
        borrowers,
        clock.clone(),
        asked.clone(),
    ));
    going_on.spawn(pass_time(mover, told.speed));
    going_on.spawn(covered.clone().watch(ground.admin.clone()));
    let mut killed_at = Vec::new();
    let at_most = Duration::from_secs(60 * told.minutes);
    while progress.elapsed() < at_most {
        rest(
            &mut chance,
            &mut progress,
            &mut operators,
            &mut going_on,
            &report,
        )
        .await?;
        if told.calm {
            let place = operators.place_of(lead.holder().await.as_deref());
            let memory = Memory::of(operators.process(place)).ok();
            report.memory.extend(memory.map(|memory| memory.anonymous));
            continue;
        }
        let place = operators.place_of(lead.holder().await.as_deref());
        let at = Timestamp::now();
        faults::note(&troubles, clock.now());
        match chance.u8(0..10) {
            0..5 => {
                killed_at.push(clock.now());
                operators.kill(place, chance.bool()).await?;
                report.kills += 1;
            }
            5 => {
                operators.kill(1 - place, true).await?;
                report.kills += 1;
            }
            _ => {
                operators.stop(place).await?;
                report.terminations += 1;
            }
        }
        lead.until_held(&mut operators, at).await?;
    }
    going_on.shutdown().await;
    ground.control.clear_faults().await?;
    report.requests = ground.control.requests().await?.total;
    progress.say("all loans are revoked");
    settle::end_all(&ground.admin).await?;
    if let Err(error) = settle::until_settled(&ground.admin).await {
        report
            .broken
            .push(format!("not all loans have ended: {error:#}"));
    }
    report.ended_by_themselves = operators.ended_by_themselves.clone();
    operators.strike().await?;
    progress.say("the check of the records");
    let given = settle::ledger(&ground, Vec::new()).await?;
    let ahead = SignedDuration::try_from(clock.ahead())?;
    let limits = Limits {
        api_behind: ahead,
        ..Limits::at(clock.now())
    };
    let made_within = SignedDuration::from_secs(6 * i64::from(told.speed));
    let lost = Lost::of(&given.records, &killed_at, made_within);
    report.count(&given, lost, check(&given, &limits));
    let records = given.records.iter().map(|record| record.grant_uid());
    report.covered = covered.number();
    report.without_record = covered.without(&records.collect());
    report.calm = told.calm;
    report.asked = renewals::number(&asked);
    report.gaps = Gaps::of(&given.records, &asked, &troubles);
    report.minutes = told.minutes;
    report.hours = (clock.ahead() + at_most).as_secs_f64() / 3600.0;
    report.judge();
    ground.strike().await;
    Ok(report)
}

/// Leaves the replicas alone for a while; tells the progress.
async fn rest(
    chance: &mut fastrand::Rng,
    progress: &mut Progress,
    operators: &mut Operators,
    going_on: &mut JoinSet<Result<()>>,
    report: &Report,
) -> Result<()> {
    let until = progress.elapsed() + Duration::from_millis(chance.u64(PAUSES));
    while progress.elapsed() < until {
        tokio::time::sleep(STEP).await;
        operators.look_after()?;
        people::all_go_on(going_on)?;
        progress.tell(report.kills, report.terminations);
    }
    Ok(())
}

async fn pass_time(mover: Mover, speed: u32) -> Result<()> {
    loop {
        tokio::time::sleep(STEP).await;
        mover.advance(STEP * (speed - 1)).await?;
    }
}
