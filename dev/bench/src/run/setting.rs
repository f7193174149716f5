//! Everything that has to be there: the control plane, the simulated service, the operator as a process.

use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use keyloan::onepassword::core::compiler;
use keyloan_cluster::{
    ControlPlane, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, Options, image_environment,
};
use kube::Client;
use tempfile::TempDir;

use super::Programs;
use crate::audit::AuditLog;
use crate::loans::Loan;
use crate::process::{Memory, Process};
use crate::scale::Scale;
use crate::service::Service;
use crate::stage::Stage;
use crate::stopwatch::{self, Progress};

/// Writes and requests that come late have come by then.
const SETTLED: Duration = Duration::from_secs(3);
/// The discovery of all integrations after a start is over by then.
const DISCOVERED_WITHIN: Duration = Duration::from_secs(180);
/// Requests of one discovery that list something: the vaults, and the items of the one vault.
const LISTINGS: u64 = 2;

/// What a run runs on.
pub struct Setting {
    /// How much is measured.
    pub scale: Scale,
    /// Tells how far it is.
    pub progress: Progress,
    /// The cluster's objects.
    pub stage: Stage,
    /// 1Password.
    pub service: Service,
    /// What the operator wrote.
    pub audit: AuditLog,
    /// The core, compiled.
    pub compiled_core: PathBuf,
    /// The loans that are active.
    pub active: Vec<Loan>,
    /// The number of the next loan.
    next: usize,
    operator: Option<Process>,
    operator_program: PathBuf,
    /// With the operator's own identity.
    pub operator_kubeconfig: PathBuf,
    cluster: ControlPlane,
    folder: TempDir,
}

impl Setting {
    /// Starts the control plane and the service; not yet the operator.
    pub async fn set(programs: &Programs, scale: Scale, progress: Progress) -> Result<Self> {
        progress.say("the control plane, the simulated 1Password, the compiled core");
        let folder = tempfile::tempdir()?;
        let wasm = keyloan_cluster::core_wasm().await?;
        let compiled_core = compiler::ensure(&wasm, &keyloan_cluster::cache_dir()?)?;
        let service =
            Service::start(&programs.simulator, folder.path(), scale.integrations).await?;
        let options = Options {
            audit_log: true,
            ..Options::default()
        };
        let cluster = ControlPlane::start(options.with_keyloan()?).await?;
        let operator_kubeconfig = cluster.operator_kubeconfig().await?;
        let stage = Stage::set(
            cluster.client("admin").await?,
            cluster.client("alice").await?,
        )
        .await?;
        Ok(Self {
            scale,
            progress,
            stage,
            service,
            audit: AuditLog::new(cluster.audit_log(), operators_name()),
            compiled_core,
            active: Vec::new(),
            next: 0,
            operator: None,
            operator_program: programs.operator.clone(),
            operator_kubeconfig,
            cluster,
            folder,
        })
    }

    /// Starts the operator, with further arguments.
    pub fn start_operator(&mut self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.operator_program);
        command
            .envs(image_environment())
            .arg("run")
            .args([
                "--listen",
                "127.0.0.1:0",
                "--allow-origin",
                self.service.control.origin(),
            ])
            .args(arguments)
            .arg("--core")
            .arg(&self.compiled_core)
            .env("KUBECONFIG", &self.operator_kubeconfig);
        let log = self.folder.path().join("operator.log");
        self.operator = Some(Process::start("the operator", &command, &log)?);
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

    /// Starts the operator again and waits until it has discovered what all integrations offer.
    pub async fn restart_operator(&mut self, arguments: &[&str]) -> Result<()> {
        let integrations = self.scale.integrations as u64;
        if self.operator.is_some() {
            self.stop_operator().await?;
        }
        self.service.forget_requests().await?;
        self.start_operator(arguments)?;
        let began = stopwatch::now();
        let (mut before, mut since) = (0, stopwatch::now());
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            self.check()?;
            let requests = self.service.requests().await?;
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

    /// Numbers for so many new loans.
    pub fn next_numbers(&mut self, loans: usize) -> Range<usize> {
        let first = self.next;
        self.next += loans;
        first..self.next
    }

    /// What the operator has in memory now.
    pub fn memory(&self) -> Result<Memory> {
        self.operator()?.memory()
    }

    /// Waits until what comes late has come; fails if one of the processes has ended.
    pub async fn settle(&mut self) -> Result<()> {
        tokio::time::sleep(SETTLED).await;
        self.check()
    }

    /// A client with the operator's own identity.
    pub async fn operators_client(&self) -> Result<Client> {
        let kubeconfig = kube::config::Kubeconfig::read_from(&self.operator_kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// Stops everything.
    pub async fn strike(mut self) -> Result<()> {
        if self.operator.is_some() {
            self.stop_operator().await?;
        }
        self.service.stop().await?;
        self.cluster.shutdown().await;
        Ok(())
    }

    fn operator(&self) -> Result<&Process> {
        self.operator.as_ref().context("the operator does not run")
    }

    fn check(&mut self) -> Result<()> {
        self.operator.as_mut().map_or(Ok(()), Process::check)
    }
}

/// How the API server knows the operator.
fn operators_name() -> String {
    format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}")
}
