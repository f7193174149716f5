//! The ground of a run: a control plane, a Git server, the simulated 1Password, and a stand-in for
//! the nodes, which runs the operator while its Deployment exists.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use keyloan_cluster::{
    ControlPlane, GLIBC_SETTINGS, OPERATOR_NAMESPACE, Options, Program, read_folder,
};
use keyloan_simulator::{Account, Control, Simulator};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::git::GitServer;
use crate::objects::{Kind, Objects, kinds};
use crate::repositories::{repositories, root};

/// The service account in the simulated 1Password.
pub const SERVICE_ACCOUNT: &str = "keyloan";
/// The namespace of integrations.
pub const PLATFORM: &str = "keyloan";
/// The namespace of requests.
pub const TEAM: &str = "team-a";
/// The operator's Deployment.
const OPERATOR: &str = "keyloan";
/// How often the stand-in for the nodes looks at the Deployment.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

/// The time limit for the operator's planned stop.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// The vault from which the examples lend.
const ACCOUNT: &str = "
domain: acme.1password.com
plan: Business
vaults:
- title: Infra
  items:
  - title: db password
    category: Database
    fields:
    - {label: password, value: correct-horse-battery-staple, kind: Concealed}
serviceAccounts:
- name: keyloan
  vaults: {Infra: [read, share]}
";

/// The objects of a platform team besides Keyloan's: namespaces, and people with their rights.
const PEOPLE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: keyloan}
---
apiVersion: v1
kind: Namespace
metadata: {name: team-a}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: engineers-ask, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-requester}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: engineering}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: owners-decide, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-approver}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: platform-owners}]
";

/// All that runs besides the tool.
pub struct Site {
    /// The administrator.
    pub admin: Objects,
    /// Controls the simulated 1Password.
    pub control: Control,
    /// The repositories `keyloan` (both charts and `crds/`), `platform` and `team-a`.
    pub git: GitServer,
    /// The control plane.
    pub cluster: ControlPlane,
    clock: Clock,
    nodes: JoinHandle<()>,
    _simulator: Simulator,
}

impl Site {
    /// Starts everything. These CRDs are there from the beginning.
    pub async fn prepare(crds: &Path, keep: bool) -> Result<Self> {
        let core = keyloan_core::compiled_core().await?;
        let options = keyloan_simulator::Options {
            enforce_quotas: false,
            ..keyloan_simulator::Options::default()
        };
        let simulator = Simulator::start(Account::parse(ACCOUNT)?, options)?;
        let control = simulator.control();
        let options = Options {
            keep,
            audit_log: true,
            manifests: vec![read_folder(crds)?],
            ..Options::default()
        };
        let cluster = ControlPlane::start(options).await?;
        let admin = Objects::of(cluster.client("admin").await?);
        admin.apply(PEOPLE).await?;
        let git = repositories().await?;
        let clock = Clock::new(cluster.dir().join("clock"), control.clone())?;
        let nodes = Nodes {
            admin: admin.clone(),
            program: beside("keyloan-endurance")?,
            kubeconfigs: KubeconfigMaker::of(&cluster),
            arguments: vec![
                "operator".into(),
                format!("--clock={}", clock.file.display()),
                "--speed=1".into(),
                format!("--core={}", core.display()),
                format!("--allow-origin={}", control.origin()),
                format!("--lease={OPERATOR_NAMESPACE}/{OPERATOR}"),
            ],
            logs: cluster.dir().join("operators"),
            started: 0,
        };
        Ok(Self {
            admin,
            control,
            git,
            clock,
            nodes: tokio::spawn(nodes.run()),
            cluster,
            _simulator: simulator,
        })
    }

    /// Lets time pass for the operator and 1Password.
    pub async fn advance(&self, by: Duration) -> Result<()> {
        self.clock.advance(by).await
    }

    /// Puts this token into the Secret that the integration names, as a tool for secrets would.
    pub async fn put_token(&self, token: &str) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "op-token", "namespace": PLATFORM,
                "labels": { "keyloan.dev/secret": "token", "keyloan.dev/integration": "prod" },
            },
            "stringData": { "token": token },
        });
        self.admin.apply(&secret.to_string()).await
    }

    /// Puts a valid token there.
    pub async fn put_valid_token(&self) -> Result<()> {
        let token = self.control.token(SERVICE_ACCOUNT).await?;
        self.put_token(&token).await
    }

    /// One of the people.
    pub async fn person(&self, name: &str) -> Result<Objects> {
        Ok(Objects::of(self.cluster.client(name).await?))
    }

    /// An example of `examples/gitops`, with the addresses of this run in it.
    pub fn example(&self, file: &str) -> Result<String> {
        let path = root().join("examples/gitops").join(file);
        let mut text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        for repository in ["keyloan", "platform", "team-a"] {
            let example = format!("https://git.example.com/{repository}.git");
            text = text.replace(&example, &self.git.url(repository));
        }
        let text = text.replace("targetRevision: v0.1.0", "targetRevision: main");
        Ok(text.replace("tag: v0.1.0", "branch: main"))
    }

    /// Stops everything.
    pub async fn strike(self) {
        self.nodes.abort();
        let _ = self.nodes.await;
        self.cluster.shutdown().await;
    }
}

/// A port of the loopback interface that nobody uses now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A program of the workspace that was built beside this one.
fn beside(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot tell where this program is")?;
    let program = this.with_file_name(name);
    ensure!(
        program.is_file(),
        "{} does not exist: `cargo xtask gitops` builds it",
        program.display()
    );
    Ok(program)
}

/// The clock of the operator, which follows a file, and of 1Password.
struct Clock {
    file: PathBuf,
    control: Control,
    milliseconds: Arc<AtomicU64>,
}

impl Clock {
    fn new(file: PathBuf, control: Control) -> Result<Self> {
        let clock = Self {
            file,
            control,
            milliseconds: Arc::default(),
        };
        clock.write()?;
        Ok(clock)
    }

    async fn advance(&self, by: Duration) -> Result<()> {
        let by_milliseconds = u64::try_from(by.as_millis())?;
        self.milliseconds
            .fetch_add(by_milliseconds, Ordering::SeqCst);
        self.write()?;
        self.control.advance_clock(by).await?;
        Ok(())
    }

    fn write(&self) -> Result<()> {
        let half_written = self.file.with_extension("new");
        let milliseconds = self.milliseconds.load(Ordering::SeqCst);
        std::fs::write(&half_written, milliseconds.to_string())?;
        std::fs::rename(&half_written, &self.file).context("cannot move the operator's clock")
    }
}

/// Makes kubeconfigs of ServiceAccounts without the control plane, which belongs to the site.
struct KubeconfigMaker {
    admin: PathBuf,
    kubectl: PathBuf,
    folder: PathBuf,
}

impl KubeconfigMaker {
    fn of(cluster: &ControlPlane) -> Self {
        Self {
            admin: cluster.kubeconfig("admin"),
            kubectl: cluster.binaries().kubectl(),
            folder: cluster.dir().to_owned(),
        }
    }

    /// The administrator's kubeconfig, with the token of a ServiceAccount in it.
    async fn make(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let kubeconfig = format!("--kubeconfig={}", self.admin.display());
        let made = tokio::process::Command::new(&self.kubectl)
            .args([&kubeconfig, "--namespace", namespace])
            .args(["create", "token", name, "--duration=240h"])
            .output()
            .await?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "no token for {name}: {said}");
        let token = String::from_utf8(made.stdout)?;
        let text = std::fs::read_to_string(&self.admin)?;
        let mut config: Value = serde_saphyr::from_str(&text)?;
        config["users"][0]["user"] = json!({ "token": token.trim() });
        let path = self.folder.join(format!("{namespace}.{name}.json"));
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }
}

/// The stand-in for the nodes: it runs the operator while its Deployment exists, starts it again
/// when the pod's template changes, and reports the pods as ready.
struct Nodes {
    admin: Objects,
    program: PathBuf,
    arguments: Vec<String>,
    kubeconfigs: KubeconfigMaker,
    logs: PathBuf,
    started: usize,
}

impl Nodes {
    async fn run(mut self) {
        let mut running: Option<(Value, Program)> = None;
        loop {
            // The API server may be busy: the next look follows at once.
            let seen = self
                .admin
                .get(kinds::DEPLOYMENT, OPERATOR_NAMESPACE, OPERATOR)
                .await;
            match seen {
                Ok(Some(deployment)) => {
                    let template = &deployment["spec"]["template"];
                    if running.as_ref().is_none_or(|(of, _)| of != template) {
                        stop(running.take()).await;
                        let program = self.start(template).await;
                        running = program.ok().map(|program| (template.clone(), program));
                    }
                    if running.is_some() {
                        let _ = self.report(&deployment).await;
                    }
                }
                Ok(None) => stop(running.take()).await,
                Err(_) => {}
            }
            tokio::time::sleep(LOOKS_EVERY).await;
        }
    }

    async fn start(&mut self, template: &Value) -> Result<Program> {
        let kubeconfig = self.kubeconfigs.make(OPERATOR_NAMESPACE, OPERATOR).await?;
        std::fs::create_dir_all(&self.logs)?;
        self.started += 1;
        let mut command = Command::new(&self.program);
        command
            .envs(GLIBC_SETTINGS)
            .args(&self.arguments)
            .args(install_of(template))
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--identity=pod-{}", self.started));
        let log = self.logs.join(format!("{}.log", self.started));
        Ok(Program::start(&command, &log)?)
    }

    /// The statuses that the Deployment's and the budget's controllers would write.
    async fn report(&self, deployment: &Value) -> Result<()> {
        let generation = &deployment["metadata"]["generation"];
        let replicas = &deployment["spec"]["replicas"];
        let condition = |type_: &str, reason: &str| json!({ "type": type_, "status": "True", "reason": reason, "message": "" });
        let status = json!({
            "observedGeneration": generation,
            "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
            "conditions": [
                condition("Available", "MinimumReplicasAvailable"),
                condition("Progressing", "NewReplicaSetAvailable"),
            ],
        });
        self.write(kinds::DEPLOYMENT, deployment, status).await?;
        let budget = kinds::DISRUPTION_BUDGET;
        let found = self.admin.get(budget, OPERATOR_NAMESPACE, OPERATOR).await?;
        let Some(found) = found else { return Ok(()) };
        let mut allowed = condition("DisruptionAllowed", "SufficientPods");
        allowed["lastTransitionTime"] = json!("2026-01-01T00:00:00Z");
        let status = json!({
            "observedGeneration": found["metadata"]["generation"],
            "expectedPods": replicas, "currentHealthy": replicas, "desiredHealthy": 1,
            "disruptionsAllowed": 1, "conditions": [allowed],
        });
        self.write(budget, &found, status).await
    }

    async fn write(&self, kind: Kind, object: &Value, status: Value) -> Result<()> {
        if object["status"]["observedGeneration"] == status["observedGeneration"]
            && object["status"]["conditions"].is_array()
        {
            return Ok(());
        }
        self.admin
            .patch_status(kind, OPERATOR_NAMESPACE, OPERATOR, status)
            .await
    }
}

/// The argument of the operator's container that names the install: the chart refuses an upgrade of
/// another one.
fn install_of(template: &Value) -> Option<&str> {
    let arguments = template["spec"]["containers"][0]["args"].as_array()?;
    let mut arguments = arguments.iter().filter_map(Value::as_str);
    arguments.find(|argument| argument.starts_with("--install="))
}

/// Stops the operator as a rollout does.
async fn stop(running: Option<(Value, Program)>) {
    let Some((_, mut program)) = running else {
        return;
    };
    // It is killed when it is dropped, should it not stop.
    let _ = program.terminate();
    for _ in 0..STOPS_WITHIN.as_secs() * 10 {
        if program.has_ended().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
