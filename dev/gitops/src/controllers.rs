//! Starts the controllers of Argo CD and Flux beside the control plane, each with a ServiceAccount
//! and the rights that it has when it is installed.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use keyloan_cluster::{GitopsTool, Helm, Program, wait_until};
use serde_json::{Value, json};

use crate::site::{Site, free_port};
use crate::way::Tracking;

/// The namespace of Argo CD.
pub const ARGOCD: &str = "argocd";
/// The ServiceAccount of Argo CD's controller.
pub const ARGOCD_CONTROLLER: &str = "argocd-application-controller";
/// The namespace of Flux.
pub const FLUX: &str = "flux-system";

/// The time limit for a controller to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);

/// The objects that Argo CD needs before it starts, as its own manifests have them.
const ARGOCD_OBJECTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: argocd}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: argocd-application-controller, namespace: argocd}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: argocd-application-controller}
rules:
- {apiGroups: ['*'], resources: ['*'], verbs: ['*']}
- {nonResourceURLs: ['*'], verbs: ['*']}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: argocd-application-controller}
roleRef:
  {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: argocd-application-controller}
subjects: [{kind: ServiceAccount, name: argocd-application-controller, namespace: argocd}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-rbac-cm, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}
---
apiVersion: v1
kind: Secret
metadata: {name: argocd-secret, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}
stringData: {server.secretkey: for-this-run-only}
";

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
    _helm: Option<Helm>,
}

impl Controllers {
    /// Argo CD: redis, its repo-server and its application controller, which impersonates the
    /// ServiceAccounts of its projects.
    pub async fn argocd(site: &Site, tracking: Tracking) -> Result<Self> {
        let argocd = GitopsTool::ArgoCd.programs().await?.join("argocd");
        site.admin.apply(ARGOCD_OBJECTS).await?;
        let settings = argocd_settings(site, tracking)?;
        site.admin.apply(&settings.to_string()).await?;
        let helm = Helm::find().await?;
        let mut controllers = Self::nowhere(site)?;
        let path = controllers.search_path(site, &helm)?;
        let redis = controllers.redis().await?;
        let home = controllers.logs.clone();
        let component = |name: &str| {
            let mut command = Command::new(&argocd);
            command
                .env("ARGOCD_BINARY_NAME", name)
                .env("ARGOCD_FAKE_IN_CLUSTER", "true")
                .env("ARGOCD_GPG_ENABLED", "false")
                .env("PATH", &path)
                .env("HOME", &home)
                .env("TMPDIR", &home)
                .arg(format!("--redis=127.0.0.1:{redis}"));
            command
        };
        let repo_server = free_port()?;
        let mut command = component("argocd-repo-server");
        command
            .args(["--disable-tls", "--address=127.0.0.1"])
            .arg("--metrics-address=127.0.0.1")
            .arg(format!("--port={repo_server}"))
            .arg(format!("--metrics-port={}", free_port()?));
        controllers
            .start("argocd-repo-server", &mut command, repo_server)
            .await?;
        let kubeconfig = site
            .cluster
            .service_account_kubeconfig(ARGOCD, ARGOCD_CONTROLLER)
            .await?;
        let metrics = free_port()?;
        let mut command = component(ARGOCD_CONTROLLER);
        command
            .args(["--namespace", ARGOCD, "--repo-server-plaintext"])
            // For itself, and for the cluster to which it applies.
            .env("KUBECONFIG", kubeconfig)
            .arg(format!("--repo-server=127.0.0.1:{repo_server}"))
            .arg(format!("--metrics-port={metrics}"));
        controllers
            .start(ARGOCD_CONTROLLER, &mut command, metrics)
            .await?;
        controllers._helm = Some(helm);
        Ok(controllers)
    }

    /// Starts redis, the cache of Argo CD; returns its port.
    async fn redis(&mut self) -> Result<u16> {
        let program = "redis-server";
        let found = Command::new(program).arg("--version").output();
        ensure!(
            found.is_ok_and(|output| output.status.success()),
            "Argo CD needs {program}, which is not there: install it, for example with `apt-get \
             install redis-server` or `brew install redis`"
        );
        let port = free_port()?;
        let mut command = Command::new(program);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"]);
        self.start("redis", &mut command, port).await?;
        Ok(port)
    }

    /// A search path with the programs that Argo CD's repo-server runs: helm, and kustomize, which
    /// kubectl has built in.
    fn search_path(&self, site: &Site, helm: &Helm) -> Result<String> {
        let folder = self.logs.join("bin");
        std::fs::create_dir_all(&folder)?;
        symlink(helm.program(), folder.join("helm"))?;
        let kubectl = site.cluster.binaries().kubectl();
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = build ] || exit 1\nshift\nexec {} kustomize \"$@\"\n",
            kubectl.display()
        );
        write_program(&folder.join("kustomize"), &script)?;
        let path = std::env::var("PATH").unwrap_or_default();
        Ok(format!("{}:{path}", folder.display()))
    }

    /// Flux: its source-, kustomize- and helm-controller.
    pub async fn flux(site: &Site) -> Result<Self> {
        let folder = GitopsTool::Flux.programs().await?;
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
            _helm: None,
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

/// The ConfigMap of the examples, merged into Argo CD's as `docs/gitops.md` says.
fn argocd_settings(site: &Site, tracking: Tracking) -> Result<Value> {
    let mut settings: Value = serde_saphyr::from_str(&site.example("argocd/argocd-cm.yaml")?)?;
    let data = settings["data"].as_object_mut();
    let data = data.context("argocd-cm.yaml has no data")?;
    let method = match tracking {
        Tracking::Annotation => "annotation",
        Tracking::Label => "label",
    };
    for (name, value) in [
        ("application.resourceTrackingMethod", method),
        ("application.sync.impersonation.enabled", "true"),
    ] {
        data.insert(name.into(), json!(value));
    }
    Ok(settings)
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}
