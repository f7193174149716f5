//! The state of a run without `--load`: one operator, its environment and its loans.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use keyloan_cluster::{Memory, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT};

use super::Programs;
use super::ground::Ground;
use crate::audit::AuditLog;
use crate::loans::Loan;
use crate::process::Process;
use crate::scale::Scale;
use crate::stopwatch::{self, Progress};

/// How long to wait for late writes and requests.
const SETTLED: Duration = Duration::from_secs(3);
/// The time limit for the discovery of all integrations after a start.
const DISCOVERED_WITHIN: Duration = Duration::from_secs(180);
/// Requests of one discovery that list something: the vaults, and the items of the one vault.
const LISTINGS: u64 = 2;

/// The state of the run.
pub struct Setting {
    /// How much is measured.
    pub scale: Scale,
    /// Reports the progress.
    pub progress: Progress,
    /// The cluster and 1Password.
    pub ground: Ground,
    /// What the operator wrote.
    pub audit: AuditLog,
    /// The loans that are active.
    pub active: Vec<Loan>,
    /// The number of the next loan.
    next: usize,
    operator: Option<Process>,
}

impl Setting {
    /// Starts the control plane and the service; not yet the operator.
    pub async fn set(programs: &Programs, scale: Scale, progress: Progress) -> Result<Self> {
        let ground = Ground::prepare(programs, scale.integrations, progress).await?;
        Ok(Self {
            scale,
            progress,
            audit: AuditLog::new(ground.audit_log(), operators_name()),
            ground,
            active: Vec::new(),
            next: 0,
            operator: None,
        })
    }

    /// Starts the operator with further arguments.
    pub fn start_operator(&mut self, arguments: &[&str]) -> Result<()> {
        self.operator = Some(self.ground.start_operator("operator", arguments)?);
        Ok(())
    }

    /// Stops the operator.
    pub async fn stop_operator(&mut self) -> Result<()> {
        self.operator
            .take()
            .context("the operator does not run")?
            .stop()
            .await
    }

    /// Restarts the operator and waits until it has discovered all integrations.
    pub async fn restart_operator(&mut self, arguments: &[&str]) -> Result<()> {
        let integrations = self.scale.integrations as u64;
        if self.operator.is_some() {
            self.stop_operator().await?;
        }
        self.ground.service.forget_requests().await?;
        self.start_operator(arguments)?;
        let began = stopwatch::now();
        let (mut before, mut since) = (0, stopwatch::now());
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            self.check()?;
            let requests = self.ground.service.requests().await?;
            if requests.all() != before {
                (before, since) = (requests.all(), stopwatch::now());
            }
            if requests.listing >= integrations * LISTINGS && since.elapsed() > SETTLED {
                return Ok(());
            }
            if began.elapsed() > DISCOVERED_WITHIN {
                bail!(
                    "the operator has not discovered {integrations} integrations within {DISCOVERED_WITHIN:?}: {requests}; its last words:\n{}",
                    self.operator()?.last_words()
                );
            }
        }
    }

    /// Numbers for this many new loans.
    pub fn next_numbers(&mut self, loans: usize) -> Range<usize> {
        let first = self.next;
        self.next += loans;
        first..self.next
    }

    /// The operator's current memory.
    pub fn memory(&self) -> Result<Memory> {
        self.operator()?.memory()
    }

    /// Waits for late events; fails if one of the processes has ended.
    pub async fn settle(&mut self) -> Result<()> {
        tokio::time::sleep(SETTLED).await;
        self.check()
    }

    /// Stops everything.
    pub async fn strike(mut self) -> Result<()> {
        if self.operator.is_some() {
            self.stop_operator().await?;
        }
        self.ground.strike().await
    }

    fn operator(&self) -> Result<&Process> {
        self.operator.as_ref().context("the operator does not run")
    }

    fn check(&mut self) -> Result<()> {
        self.operator.as_mut().map_or(Ok(()), Process::check)
    }
}

/// The operator's username.
pub fn operators_name() -> String {
    format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}")
}
