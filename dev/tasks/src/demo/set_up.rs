//! Sets up the stage of the demo and of `cargo xtask stage`: programs, a control plane, a simulated
//! 1Password, the operator.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use keyloan_cluster::{Binaries, ControlPlane, Helm, Options, Program, core_wasm, wait_until};
use keyloan_simulator::Control;

use super::objects::Person;
use super::programs::Programs;
use super::stage::Stage;
use super::{STEP, WAIT, account};

/// The limit for building everything on a slow machine, once.
const BUILD: Duration = Duration::from_secs(3600);

/// Everything that runs.
pub struct Running {
    pub cluster: ControlPlane,
    pub control: Control,
    pub admin: Person,
    pub alice: Person,
    pub bob: Person,
    pub mallory: Person,
    pub programs: Programs,
    pub operator: OperatorProcess,
}

/// How the operator was started, to start it again.
pub struct OperatorProcess {
    /// The program and its arguments.
    pub command_line: Vec<String>,
    /// The file with its output.
    pub log: PathBuf,
    /// Its process id.
    pub pid: u32,
    /// The address of its health endpoint, as `HOST:PORT`.
    pub health: String,
}

/// Builds and starts everything; there is no loan yet.
pub async fn set_up(stage: &mut Stage, in_folder: Option<&Path>) -> Result<Running> {
    let build = async {
        match in_folder {
            Some(folder) => Programs::in_folder(folder),
            None => Programs::build().await,
        }
    };
    let programs = stage
        .step(
            "the operator, the plugin and the simulated 1Password are built",
            BUILD,
            build,
        )
        .await?;
    let wasm = async { Ok(core_wasm().await?) };
    stage
        .step("1Password's SDK core is available, unmodified", BUILD, wasm)
        .await?;
    let binaries = async { Ok(Binaries::find().await?) };
    stage
        .step(
            "etcd, kube-apiserver and kube-controller-manager are available",
            BUILD,
            binaries,
        )
        .await?;

    let helm = async { Ok(Helm::find().await?) };
    let helm = stage.step("helm is available", BUILD, helm).await?;

    let start = async { Ok(ControlPlane::start(Options::default()).await?) };
    let cluster = stage
        .step("a Kubernetes API server runs", STEP, start)
        .await?;
    let install = async { Ok(cluster.install_charts(&helm).await?) };
    let name = "helm has installed the charts keyloan-crds and keyloan";
    stage.step(name, STEP, install).await?;
    let folder = cluster.dir().to_owned();

    let start = async {
        let simulator = start_simulator(&programs, &folder)?;
        let origin = wait_until("the simulator prints its origin", WAIT, async || {
            origin(&simulator)
        })
        .await?;
        Ok((Control::new(&origin)?, simulator))
    };
    let (control, simulator) = stage
        .step("a simulated 1Password runs", STEP, start)
        .await?;
    stage.tell(format_args!(
        "{} (process {})",
        control.origin(),
        simulator.id()
    ));
    stage.watch("simulator", simulator);

    let compile = programs.compiled_core();
    let core = stage
        .step("the SDK core is compiled for its sandbox", STEP, compile)
        .await?;
    let kubeconfig = cluster.operator_kubeconfig().await?;
    let (health, metrics) = (free_address()?, free_address()?);
    let listen = [("listen", &health), ("listen-metrics", &metrics)];
    let command_line = operator_command(&programs, &kubeconfig, &core, &control, &listen);
    let operator = start_operator(&command_line, &folder)?;
    let (log, pid) = (operator.log().to_owned(), operator.id());
    stage.watch("operator", operator);
    let name = "the operator runs, with the rights of the chart's ServiceAccount";
    stage.step(name, STEP, until_ready(&health)).await?;
    stage.tell(format_args!("http://{metrics}/metrics (process {pid})"));

    Ok(Running {
        admin: Person::of(&cluster, "admin").await?,
        alice: Person::of(&cluster, "alice").await?,
        bob: Person::of(&cluster, "bob").await?,
        mallory: Person::of(&cluster, "mallory").await?,
        cluster,
        control,
        programs,
        operator: OperatorProcess {
            command_line,
            log,
            pid,
            health,
        },
    })
}

fn start_simulator(programs: &Programs, folder: &Path) -> Result<Program> {
    let mut command = Command::new(&programs.simulator);
    command.arg("--account").arg(account::file());
    let log = folder.join("simulator.log");
    Program::start(&command, &log).context("cannot start the simulator")
}

/// The origin that the simulator prints.
fn origin(simulator: &Program) -> Option<String> {
    let said = simulator.said();
    let origin = said.lines().find_map(|line| line.strip_prefix("ORIGIN="));
    origin.map(str::to_owned)
}

fn operator_command(
    programs: &Programs,
    kubeconfig: &Path,
    core: &Path,
    control: &Control,
    listen: &[(&str, &String)],
) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let mut line = vec![
        path(&programs.keyloan),
        "run".into(),
        format!("--kubeconfig={}", path(kubeconfig)),
        format!("--core={}", path(core)),
        format!("--allow-origin={}", control.origin()),
    ];
    let listen = listen.iter();
    line.extend(listen.map(|(flag, address)| format!("--{flag}={address}")));
    line
}

fn start_operator(command_line: &[String], folder: &Path) -> Result<Program> {
    let (program, arguments) = command_line.split_first().context("no operator")?;
    let mut command = Command::new(program);
    command.args(arguments);
    let log = folder.join("operator.log");
    Program::start(&command, &log).context("cannot start the operator")
}

/// A loopback address on which nobody listens.
fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("there is no free port")?;
    Ok(listener.local_addr()?.to_string())
}

async fn until_ready(listen: &str) -> Result<()> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()?;
    let ready = async || {
        let answer = http
            .get(format!("http://{listen}/readyz"))
            .send()
            .await
            .ok()?;
        answer.status().is_success().then_some(())
    };
    Ok(wait_until("the operator reports that it is ready", WAIT, ready).await?)
}
