//! Starts the controllers of Flux beside the control plane, each with a ServiceAccount
//! and the rights that it has when it is installed.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use keyloan_cluster::{Program, flux_programs, wait_until};

use crate::site::{Site, free_port};

/// The namespace of Flux.
pub const FLUX: &str = "flux-system";

/// The time limit for a controller to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);

/// The objects that Flux needs before it starts.
const FLUX_OBJECTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: flux-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cluster-reconciler-flux-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: ServiceAccount, name: source-controller, namespace: flux-system}
- {kind: ServiceAccount, name: kustomize-controller, namespace: flux-system}
- {kind: ServiceAccount, name: helm-controller, namespace: flux-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: source-controller, namespace: flux-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: kustomize-controller, namespace: flux-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helm-controller, namespace: flux-system}
";

/// Programs that run until this is dropped.
pub struct Controllers {
    programs: Vec<Program>,
    logs: PathBuf,
}

impl Controllers {
    /// Flux: its source-, kustomize- and helm-controller.
    pub async fn flux(site: &Site) -> Result<Self> {
        let folder = flux_programs().await?;
        site.admin.apply(FLUX_OBJECTS).await?;
        let mut controllers = Self::nowhere(site)?;
        for name in [
            "source-controller",
            "kustomize-controller",
            "helm-controller",
        ] {
            let kubeconfig = site.cluster.service_account_kubeconfig(FLUX, name).await?;
            let (health, metrics) = (free_port()?, free_port()?);
            let mut command = Command::new(folder.join(name));
            command
                .env("RUNTIME_NAMESPACE", FLUX)
                .env("KUBECONFIG", kubeconfig)
                .env("HOME", &controllers.logs)
                .env("TMPDIR", &controllers.logs)
                .args(["--watch-all-namespaces", "--enable-leader-election=false"])
                .args(["--interval-jitter-percentage=0", "--requeue-dependency=2s"])
                .arg(format!("--health-addr=127.0.0.1:{health}"))
                .arg(format!("--metrics-addr=127.0.0.1:{metrics}"));
            if name == "source-controller" {
                let storage = controllers.logs.join("sources");
                std::fs::create_dir_all(&storage)?;
                let address = format!("127.0.0.1:{}", free_port()?);
                command
                    .arg(format!("--storage-path={}", storage.display()))
                    .arg(format!("--storage-addr={address}"))
                    .arg(format!("--storage-adv-addr={address}"));
            }
            controllers.start(name, &mut command, health).await?;
        }
        Ok(controllers)
    }

    fn nowhere(site: &Site) -> Result<Self> {
        let logs = site.cluster.dir().join("controllers");
        std::fs::create_dir_all(&logs)?;
        Ok(Self {
            programs: Vec::new(),
            logs,
        })
    }

    /// Starts a program and waits until it listens.
    async fn start(&mut self, name: &str, command: &mut Command, port: u16) -> Result<()> {
        command.current_dir(&self.logs);
        let log = self.logs.join(format!("{name}.log"));
        let mut program = Program::start(command, &log)?;
        let look = async || {
            if program.has_ended().is_some() {
                return Some(false);
            }
            let address = ("127.0.0.1", port);
            let connected = tokio::net::TcpStream::connect(address).await;
            connected.is_ok().then_some(true)
        };
        let listens = wait_until(format!("{name} listens"), LISTENS_WITHIN, look).await;
        if !matches!(listens, Ok(true)) {
            bail!("{name} did not start; its log:\n{}", program.log_tail(10));
        }
        self.programs.push(program);
        Ok(())
    }
}
