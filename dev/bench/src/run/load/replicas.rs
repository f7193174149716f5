//! Two replicas of the operator: a leader and a standby.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use keyloan_cluster::{Memory, OPERATOR_NAMESPACE, wait_until};
use kube::{Api, Client};

use super::notices::words;
use crate::process::{Peak, Process};
use crate::run::ground::Ground;

/// The lease that the leader holds.
const LEASE: &str = "keyloan";
/// The log line of a replica whose watches are synced: it can lead at any time.
const KNOWS_ALL: &str = "all watches are synced";
/// The time limit for the start of a replica, whatever it has to list.
const STARTED_WITHIN: Duration = Duration::from_secs(180);

/// The 1Password of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnePassword {
    /// The simulated service, through the real core.
    Simulated,
    /// One within the operator's process.
    AtOnce,
}

/// The operator's two replicas.
pub struct Replicas {
    onepassword: OnePassword,
    leader: Replica,
    standby: Option<Replica>,
    started: usize,
}

struct Replica {
    identity: String,
    process: Process,
}

impl Replicas {
    /// Starts one that leads, and a second one as the standby.
    pub async fn start(ground: &Ground, onepassword: OnePassword) -> Result<Self> {
        let mut replicas = Self::start_after(ground, onepassword, 0)?;
        replicas.until_complete(ground).await?;
        Ok(replicas)
    }

    /// Starts one, and does not wait for anything.
    fn start_after(ground: &Ground, onepassword: OnePassword, started: usize) -> Result<Self> {
        Ok(Self {
            onepassword,
            leader: Replica::start(ground, onepassword, started + 1)?,
            standby: None,
            started: started + 1,
        })
    }

    /// Waits until the first one leads, and starts a standby if there is none.
    pub async fn until_complete(&mut self, ground: &Ground) -> Result<()> {
        self.leader.until_it_leads(&ground.stage.admin).await?;
        if self.standby.is_none() {
            self.started += 1;
            let standby = Replica::start(ground, self.onepassword, self.started)?;
            standby.until_it_knows_all().await?;
            self.standby = Some(standby);
        }
        Ok(())
    }

    /// Waits until the first one leads.
    pub async fn until_it_leads(&self, ground: &Ground) -> Result<()> {
        self.leader.until_it_leads(&ground.stage.admin).await
    }

    /// Waits until the watches of the first one are synced, whether it leads or not.
    pub async fn until_leader_knows_all(&self) -> Result<()> {
        self.leader.until_it_knows_all().await
    }

    /// Stops both and starts one that needs no lease, without waiting for it.
    pub async fn restart_one(self, ground: &Ground) -> Result<Self> {
        let (onepassword, started) = (self.onepassword, self.started);
        self.stop().await?;
        Self::start_after(ground, onepassword, started)
    }

    /// Makes the standby the leader; returns the former leader, which has to be ended.
    pub fn hand_over(&mut self) -> Result<Process> {
        let standby = self.standby.take().context("nobody stands by")?;
        Ok(std::mem::replace(&mut self.leader, standby).process)
    }

    /// Stops both.
    pub async fn stop(self) -> Result<()> {
        // The standby first, so that it does not become the leader.
        if let Some(standby) = self.standby {
            standby.process.stop().await?;
        }
        self.leader.process.stop().await
    }

    /// The processor time of the leader since its start.
    pub fn processor_time(&self) -> Result<Duration> {
        self.leader.process.processor_time()
    }

    /// The leader's current memory.
    pub fn memory(&self) -> Result<Memory> {
        self.leader.process.memory()
    }

    /// Watches the leader's memory from now on.
    pub fn follow_memory(&self) -> Peak {
        self.leader.process.follow_memory()
    }

    /// The end of the leader's log.
    pub fn last_words(&self) -> String {
        self.leader.process.last_words()
    }

    /// Fails if one of them has ended.
    pub fn check(&mut self) -> Result<()> {
        let standby = self.standby.as_mut().map(|standby| &mut standby.process);
        [Some(&mut self.leader.process), standby]
            .into_iter()
            .flatten()
            .try_for_each(Process::check)
    }
}

impl Replica {
    fn start(ground: &Ground, onepassword: OnePassword, number: usize) -> Result<Self> {
        let identity = format!("replica-{number}");
        let lease = format!("{OPERATOR_NAMESPACE}/{LEASE}");
        let arguments = ["--lease", &lease, "--identity", &identity];
        let notices = words();
        let with_notices = [&arguments[..], &notices.each_ref().map(String::as_str)].concat();
        let process = match onepassword {
            OnePassword::Simulated => ground.start_operator(&identity, &with_notices)?,
            OnePassword::AtOnce => ground.start_operator_at_once(&identity, &arguments)?,
        };
        Ok(Self { identity, process })
    }

    async fn until_it_knows_all(&self) -> Result<()> {
        let knows = async || self.process.said().contains(KNOWS_ALL).then_some(());
        wait_until("a replica knows all objects", STARTED_WITHIN, knows)
            .await
            .with_context(|| format!("its last words:\n{}", self.process.last_words()))
    }

    async fn until_it_leads(&self, admin: &Client) -> Result<()> {
        let leases = Api::<Lease>::namespaced(admin.clone(), OPERATOR_NAMESPACE);
        let leads = async || {
            let lease = leases.get(LEASE).await.ok()?;
            let holder = lease.spec?.holder_identity?;
            (holder == self.identity).then_some(())
        };
        let led = wait_until("a replica leads", STARTED_WITHIN, leads).await;
        ensure!(
            led.is_ok(),
            "{} does not lead after {STARTED_WITHIN:?}; its last words:\n{}",
            self.identity,
            self.process.last_words()
        );
        Ok(())
    }
}
