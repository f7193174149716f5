//! The run with `--load`: how the operator's cost grows with waiting requests, running loans and
//! ended loans.

mod away;
mod burst;
mod complaints;
mod crowd;
mod ends;
mod growth;
mod history;
mod lead;
mod ledger;
mod notices;
mod own;
mod replicas;
mod running;
mod sightings;
mod stops;
mod waiting;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Programs;
use super::ground::Ground;
use crate::latency::milliseconds;
use crate::loans::{self, Loan};
use crate::report::{Figure, Report, Run, Section, Unit};
use crate::scale::LoadScale;
use crate::stage::{self, Stage};
use crate::stopwatch::{self, Progress};
use replicas::{OnePassword, Replicas};
use sightings::Sightings;

/// The namespace and the group of the burst's people.
const BURST: &str = "burst";
/// The namespaces of one person's and of many people's waiting requests.
const OF_ONE: &str = "waiting-one";
const OF_MANY: &str = "waiting-many";
/// The namespace of the requests while the API server does not respond.
const AWAY: &str = "away";
/// The group of the people whose requests wait.
const WAITING: &str = "waiting";
/// The namespace and the group of the many running loans.
const RUNNING: &str = "running";
/// The namespace and the group of the loans with further links.
const GROWTH: &str = "growth";

/// The processor time of an operator that has nothing left to do.
const AT_REST: Duration = Duration::from_millis(30);
/// How long to wait until it rests.
const RESTS_WITHIN: Duration = Duration::from_secs(120);
/// The timeout of every wait.
const PATIENCE: Duration = Duration::from_secs(900);

/// The load, and the operator under it.
struct Load {
    scale: LoadScale,
    progress: Progress,
    onepassword: OnePassword,
    ground: Ground,
    sightings: Sightings,
    replicas: Option<Replicas>,
    /// When the operator did not rest.
    restless: Vec<String>,
    /// The number of the next request.
    next: usize,
}

/// The parts that can be measured separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// What is Keyloan's own: a burst, and one person's loans and waiting requests, with a 1Password that answers at once.
    Own,
    /// Many loans that run, some of which are revoked, and a restart, with a 1Password that answers at once.
    Running,
    /// Many loans that end at once, with a 1Password that answers at once; a burst comes before.
    Ends,
    /// Further links of the same loans, with a 1Password that answers at once.
    Growth,
    /// Many requests at once.
    Burst,
    /// One person's requests that wait for approval.
    WaitingOne,
    /// Many people's requests that wait for approval.
    WaitingMany,
    /// Loans with and without notifiers.
    Notices,
    /// An auditor's questions about records of loans that have ended.
    Ledger,
    /// Records of loans that have ended.
    History,
    /// Another replica takes the lead.
    Lead,
    /// The leader is told to stop again and again while it lends.
    Stops,
    /// The API server does not answer for a while.
    Away,
}

/// Measures these parts, in the order of their declaration.
pub async fn run(
    scale: LoadScale,
    parts: &[Part],
    command: &str,
    programs: &Programs,
) -> Result<Report> {
    let (begun, progress) = (Run::begin(command, scale.quick), Progress::start());
    let (mut sections, mut heard) = (Vec::new(), Heard::default());
    let mut measured = Ok(());
    for onepassword in [OnePassword::AtOnce, OnePassword::Simulated] {
        let is_with_it = |part: &Part| part.with() == onepassword;
        let parts: Vec<Part> = parts.iter().copied().filter(is_with_it).collect();
        if measured.is_ok() && !parts.is_empty() {
            let mut load = Load::set(programs, scale, progress, onepassword).await?;
            measured = load.measure(&parts, &mut sections).await;
            heard.of(&load)?;
            if let Err(error) = measured {
                let said = load.replicas.as_ref().map(Replicas::last_words);
                let said = said.unwrap_or_default();
                measured = Err(error.context(format!("the end of the leader's log:\n{said}\n")));
            } else {
                load.strike().await?;
            }
        }
    }
    sections.push(complaints::section(&heard.said, &heard.restless));
    let report = begun.report(progress.elapsed().as_secs(), sections);
    if measured.is_err() {
        progress.say(&format!("findings before the failure:\n{report}"));
    }
    measured.map(|()| report)
}

/// The operators' logs, and when they did not rest.
#[derive(Default)]
struct Heard {
    said: String,
    restless: Vec<String>,
}

impl Heard {
    fn of(&mut self, load: &Load) -> Result<()> {
        self.said += &load.ground.operators_said()?;
        self.restless.extend(load.restless.iter().cloned());
        Ok(())
    }
}

impl Part {
    /// The 1Password of the measurement.
    fn with(self) -> OnePassword {
        match self {
            Self::Own | Self::Running | Self::Ends | Self::Growth => OnePassword::AtOnce,
            _ => OnePassword::Simulated,
        }
    }
}

impl Load {
    async fn set(
        programs: &Programs,
        scale: LoadScale,
        progress: Progress,
        onepassword: OnePassword,
    ) -> Result<Self> {
        let ground = Ground::prepare(programs, scale.integrations, progress).await?;
        let namespaces = [BURST, OF_ONE, OF_MANY, RUNNING, GROWTH, AWAY];
        for namespace in namespaces {
            stage::namespace(&ground.stage.admin, namespace).await?;
        }
        Ok(Self {
            scale,
            progress,
            onepassword,
            sightings: Sightings::watch(&ground.stage.admin, &namespaces),
            ground,
            replicas: None,
            restless: Vec::new(),
            next: 0,
        })
    }

    async fn measure(&mut self, parts: &[Part], found: &mut Vec<Section>) -> Result<()> {
        self.progress.say("two replicas of the operator");
        self.start_replicas().await?;
        let integrations = 1..=self.scale.integrations;
        let (stage, service) = (&self.ground.stage, &self.ground.service);
        stage.integrate(integrations.clone(), service).await?;
        for integration in integrations {
            stage.add_flow_with_approval(integration, WAITING).await?;
        }
        match self.onepassword {
            OnePassword::AtOnce => self.measure_its_own(parts, found).await,
            OnePassword::Simulated => self.measure_all_of_it(parts, found).await,
        }
    }

    /// With a 1Password that responds at once and has no hourly limit.
    async fn measure_its_own(&mut self, parts: &[Part], found: &mut Vec<Section>) -> Result<()> {
        let mut lent = Vec::new();
        if parts.contains(&Part::Own) || parts.contains(&Part::Ends) {
            let section;
            let floor = self.measure_floor().await?;
            (section, lent) = self.burst(&floor).await?;
            found.push(section);
        }
        if parts.contains(&Part::Running) {
            found.push(self.run_many(lent.len()).await?);
        }
        if parts.contains(&Part::Ends) {
            found.push(self.end_all(&lent).await?);
        }
        if parts.contains(&Part::Growth) {
            found.push(self.grow().await?);
        }
        if parts.contains(&Part::Own) {
            found.push(self.measure_one_persons().await?);
        }
        Ok(())
    }

    /// With the core and the simulated service.
    async fn measure_all_of_it(&mut self, parts: &[Part], found: &mut Vec<Section>) -> Result<()> {
        if parts.contains(&Part::Burst) {
            let floor = self.measure_floor().await?;
            let (section, _) = self.burst(&floor).await?;
            found.push(section);
        }
        if parts.contains(&Part::WaitingOne) {
            self.let_one_persons_wait(found).await?;
        }
        if parts.contains(&Part::WaitingMany) {
            self.let_many_peoples_wait(found).await?;
        }
        if parts.contains(&Part::Notices) {
            found.push(self.tell_of_loans().await?);
        }
        if parts.contains(&Part::Ledger) {
            found.push(self.ask_the_ledger().await?);
        }
        if parts.contains(&Part::History) {
            found.push(self.remember_what_was().await?);
        }
        if parts.contains(&Part::Lead) {
            found.push(self.change_the_lead().await?);
        }
        if parts.contains(&Part::Stops) {
            found.push(self.stop_again_and_again().await?);
        }
        if parts.contains(&Part::Away) {
            found.push(self.lose_the_api_server().await?);
        }
        Ok(())
    }

    async fn strike(mut self) -> Result<()> {
        self.take_replicas()?.stop().await?;
        self.ground.strike().await
    }

    fn replicas(&self) -> Result<&Replicas> {
        self.replicas.as_ref().context("the operator does not run")
    }

    async fn start_replicas(&mut self) -> Result<()> {
        self.replicas = Some(Replicas::start(&self.ground, self.onepassword).await?);
        Ok(())
    }

    fn take_replicas(&mut self) -> Result<Replicas> {
        self.replicas.take().context("the operator does not run")
    }

    /// Restarts both replicas, and waits until they know all objects and have nothing left to do.
    async fn restart(&mut self) -> Result<()> {
        let mut replicas = self.take_replicas()?.restart_one(&self.ground).await?;
        replicas.until_complete(&self.ground).await?;
        self.replicas = Some(replicas);
        self.rest().await
    }

    /// Waits for a while until the operator has nothing left to do. If it never rests, that is a finding, too. Fails if a replica has ended.
    async fn rest(&mut self) -> Result<()> {
        let began = stopwatch::now();
        let mut quiet = 0;
        while quiet < 3 {
            let before = self.replicas()?.processor_time()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let used = self.replicas()?.processor_time()? - before;
            quiet = if used <= AT_REST { quiet + 1 } else { 0 };
            if began.elapsed() > RESTS_WITHIN {
                let restless = format!(
                    "{:.0} s into the run: not at rest after {RESTS_WITHIN:?}, {used:?} of processor time in a second",
                    self.progress.elapsed().as_secs_f64()
                );
                self.progress.say(&restless);
                self.restless.push(restless);
                break;
            }
        }
        self.replicas.as_mut().map_or(Ok(()), Replicas::check)
    }

    /// Waits until each of these is Active; returns when each was, in their order.
    async fn until_active(&self, uids: &[String]) -> Result<Vec<Instant>> {
        let active = |seen: &sightings::Sighting| seen.active;
        self.sightings
            .all(uids, "is Active", PATIENCE, active)
            .await
    }

    fn next_number(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    /// The integrations take turns.
    fn integration(&self, number: usize) -> usize {
        number % self.scale.integrations + 1
    }

    /// A person's next request with the flow that needs no approval.
    fn next_request(&mut self) -> Value {
        let number = self.next_number();
        self.request_by(number, stage::flow_name(self.integration(number)))
    }

    /// A person's next request with the flow that needs an approval.
    fn next_request_for_approval(&mut self) -> Value {
        let number = self.next_number();
        self.request_by(number, stage::flow_with_approval(self.integration(number)))
    }

    fn request_by(&self, number: usize, flow: String) -> Value {
        let mut request = Stage::request(number, self.integration(number));
        request["spec"]["flow"] = json!(flow);
        request
    }

    /// Alice borrows something.
    async fn lend(&mut self) -> Result<Loan> {
        let number = self.next_number();
        loans::lend(&self.ground.stage, number, self.integration(number)).await
    }

    /// Alice borrows something from each integration, so that all clients are signed in.
    async fn warm_up(&mut self) -> Result<Vec<Loan>> {
        let mut lent = Vec::new();
        for _ in 0..self.scale.integrations {
            lent.push(self.lend().await?);
        }
        self.rest().await?;
        Ok(lent)
    }
}

fn in_seconds(what: impl Into<String>, duration: Duration) -> Figure {
    Figure::new(what, duration.as_secs_f64(), Unit::Seconds)
}

fn in_milliseconds(what: impl Into<String>, duration: Duration) -> Figure {
    Figure::new(what, milliseconds(duration), Unit::Milliseconds)
}

fn in_megabytes(what: impl Into<String>, megabytes: f64) -> Figure {
    Figure::new(what, megabytes, Unit::Megabytes)
}

fn per_second(count: usize, duration: Duration) -> f64 {
    count as f64 / duration.as_secs_f64().max(f64::EPSILON)
}

/// The ratio.
fn ratio_of(one: f64, other: f64) -> f64 {
    one / other.max(f64::EPSILON)
}

/// The ratio of durations.
fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64().max(f64::EPSILON)
}
