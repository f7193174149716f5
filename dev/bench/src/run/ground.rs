//! The basis of every run: the control plane, the simulated service, the compiled core, and
//! operators as processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use keyloan_cluster::{Component, ControlPlane, GLIBC_SETTINGS, Options, signal};
use kube::Client;
use tempfile::TempDir;

use super::Programs;
use crate::process::Process;
use crate::service::Service;
use crate::stage::Stage;
use crate::stopwatch::Progress;

/// The folder of the operators' logs.
const OPERATORS: &str = "operators";

/// A cluster without an operator, and 1Password.
pub struct Ground {
    /// The cluster's objects.
    pub stage: Stage,
    /// 1Password.
    pub service: Service,
    /// The core, compiled.
    pub compiled_core: PathBuf,
    /// With the operator's own identity.
    pub operator_kubeconfig: PathBuf,
    programs: Programs,
    /// The number of operators started so far.
    started: AtomicUsize,
    cluster: ControlPlane,
    folder: TempDir,
}

impl Ground {
    /// Starts the control plane, and the service with one account per integration.
    pub async fn prepare(
        programs: &Programs,
        integrations: usize,
        progress: Progress,
    ) -> Result<Self> {
        progress.say("the control plane, the simulated 1Password, the compiled core");
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join(OPERATORS))?;
        let compiled_core = keyloan_core::compiled_core().await?;
        let service = Service::start(&programs.simulator, folder.path(), integrations).await?;
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
            stage,
            service,
            compiled_core,
            operator_kubeconfig,
            programs: programs.clone(),
            started: AtomicUsize::new(0),
            cluster,
            folder,
        })
    }

    /// Starts an operator with further arguments and its own log.
    pub fn start_operator(&self, log: &str, arguments: &[&str]) -> Result<Process> {
        let mut command = Command::new(&self.programs.operator);
        command
            .envs(GLIBC_SETTINGS)
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
        self.start_process(log, &command)
    }

    /// Starts an operator whose 1Password responds at once.
    pub fn start_operator_at_once(&self, log: &str, arguments: &[&str]) -> Result<Process> {
        let mut command = Command::new(&self.programs.this);
        command
            .envs(GLIBC_SETTINGS)
            .arg("at-once")
            .args(["--allow-origin", self.service.control.origin()])
            .args(arguments)
            .arg("--kubeconfig")
            .arg(&self.operator_kubeconfig);
        self.start_process(log, &command)
    }

    /// The path of `kubectl keyloan`.
    pub fn plugin(&self) -> &Path {
        &self.programs.plugin
    }

    /// The admin's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.cluster.kubeconfig("admin")
    }

    fn start_process(&self, log: &str, command: &Command) -> Result<Process> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.logs().join(format!("{number:03}-{log}.log"));
        Process::start("the operator", command, &log)
    }

    /// The logs of all operators, one after the other.
    pub fn operators_said(&self) -> Result<String> {
        let mut said = String::new();
        for log in fs::read_dir(self.logs())? {
            said.push_str(&String::from_utf8_lossy(&fs::read(log?.path())?));
        }
        Ok(said)
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join(OPERATORS)
    }

    /// Pauses or continues the API server, as a sleeping machine would.
    pub fn pause_api_server(&self, paused: bool) -> Result<()> {
        let id = self.cluster.process_id(Component::KubeApiserver);
        let name = if paused { "STOP" } else { "CONT" };
        signal(id, name).context("cannot pause the API server")
    }

    /// The path of the API server's audit log.
    pub fn audit_log(&self) -> PathBuf {
        self.cluster.audit_log()
    }

    /// A client with the operator's own identity.
    pub fn operators_client(&self) -> impl Future<Output = Result<Client>> + Send + use<> {
        let kubeconfig = kube::config::Kubeconfig::read_from(&self.operator_kubeconfig);
        async {
            let options = Default::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig?, &options).await?;
            Ok(Client::try_from(config)?)
        }
    }

    /// Stops everything.
    pub async fn strike(self) -> Result<()> {
        self.service.stop().await?;
        self.cluster.shutdown().await;
        Ok(())
    }
}
