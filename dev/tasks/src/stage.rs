//! `cargo xtask stage -- COMMAND`: runs a command on a complete stage: a control plane with the
//! charts, a simulated 1Password, the operator, and an integration that is ready.
//!
//! The environment tells the command about the stage and how to control it:
//!
//! | Variable | What it holds |
//! |---|---|
//! | `KUBECONFIG` | The kubeconfig of an administrator, who may impersonate anybody. |
//! | `INTEGRATION` | The integration that is ready, as namespace/name. |
//! | `OPERATOR_PID` | The operator's process id, until the operator is stopped. |
//! | `HEALTH` | The address of the operator's health endpoint, as host:port. |
//! | `SIM` | The simulated 1Password's origin. |
//! | `TOKEN` | A file with the service account's token. |
//! | `STOP`, `START` | Commands: the first stops the operator with SIGTERM, the second starts it again and returns when it is ready. |
//! | `STAGE` | The stage's folder, with `operator.log`, `operator.pid` and `simulator.log`. |

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::demo::account;
use crate::demo::objects::{INTEGRATION, is};
use crate::demo::set_up::{Running, set_up};
use crate::demo::stage::Stage;
use crate::demo::{STEP, WAIT};
use crate::screen::line;
use crate::workspace;

/// The integration's namespace and name, as in its example.
const PROD: (&str, &str) = ("keyloan", "prod");

/// Options of the command.
#[derive(clap::Args)]
pub struct Arguments {
    /// Use the programs keyloan, kubectl-keyloan and keyloan-simulator in this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// The 1Password plan in the integration: Business, Teams, Families or Individual
    #[arg(long, value_name = "PLAN", default_value = "Business")]
    plan: String,
    /// The command and its arguments; by default bash
    #[arg(last = true)]
    command: Vec<String>,
}

/// Runs the command on a stage; returns its exit code.
pub async fn run(arguments: Arguments) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut stage = Stage::default();
    // Dropping the stage ends everything that was started.
    let code = tokio::select! {
        code = play(&mut stage, arguments) => code?,
        _ = interrupt.recv() => bail!("the stage was interrupted"),
        _ = terminate.recv() => bail!("the stage was interrupted"),
    };
    drop(stage);
    if code != 0 {
        std::process::exit(code);
    }
    Ok(())
}

async fn play(stage: &mut Stage, arguments: Arguments) -> Result<i32> {
    // The folder is made absolute, because the command may run in any folder.
    let programs = arguments.programs.map(fs::canonicalize).transpose();
    let programs = programs.context("find the folder of --programs")?;
    let running = set_up(stage, programs.as_deref()).await?;
    let token = running.control.token(account::SERVICE_ACCOUNT).await?;
    let connect = connect(&running, &token, &arguments.plan);
    let name = "the integration keyloan/prod is ready";
    stage.step(name, STEP, connect).await?;
    let props = Props::write(&running, &token)?;
    let mut command = props.command(&running, &arguments.command)?;
    line(format_args!("\n  {}\n", workspace::shown(&command)));
    let ended = command.status().await;
    let code = ended
        .with_context(|| format!("cannot start {}", workspace::shown(&command)))?
        .code()
        .unwrap_or(1);
    props.clear();
    running.cluster.shutdown().await;
    Ok(code)
}

/// Creates namespaces, and the example's integration with a valid token.
async fn connect(running: &Running, token: &str, plan: &str) -> Result<()> {
    let text = |path: &str| {
        let path = workspace::folder().join(path);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    running
        .admin
        .apply(&text("dev/tasks/demo/people.yaml")?)
        .await?;
    let integration = text("examples/integration.yaml")?
        .replace("ops_REPLACE_ME", token)
        .replace("plan: Business", &format!("plan: {plan}"));
    running.admin.apply(&integration).await?;
    let ready = |seen: &kube::api::DynamicObject| is(seen, "Ready");
    running.admin.until(INTEGRATION, PROD, WAIT, ready).await?;
    Ok(())
}

/// The files with which a command controls the operator.
struct Props {
    folder: PathBuf,
    start: PathBuf,
    stop: PathBuf,
    pid: PathBuf,
    token: PathBuf,
}

impl Props {
    fn write(running: &Running, token: &str) -> Result<Self> {
        let folder = running.cluster.dir().to_owned();
        let props = Self {
            start: folder.join("start-operator"),
            stop: folder.join("stop-operator"),
            pid: folder.join("operator.pid"),
            token: folder.join("token"),
            folder,
        };
        let operator = &running.operator;
        fs::write(&props.pid, operator.pid.to_string())?;
        fs::write(&props.token, token)?;
        let (pid, log) = (props.pid.display(), operator.log.display());
        let words: Vec<_> = operator
            .command_line
            .iter()
            .map(|word| quoted(word))
            .collect();
        let (host, port) = operator.health.rsplit_once(':').context("an address")?;
        script(
            &props.start,
            &format!(
                "setsid {} >>{log} 2>&1 </dev/null &\n\
                 echo $! >{pid}\n\
                 ready() {{ exec 3<>/dev/tcp/{host}/{port} && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q ' 200 ' <&3; }}\n\
                 for _ in $(seq 600); do (ready) 2>/dev/null && exit; sleep 0.1; done\n\
                 echo 'the operator is not ready after a minute; see {log}' >&2\n\
                 exit 1\n",
                words.join(" ")
            ),
        )?;
        script(
            &props.stop,
            &format!(
                "pid=$(cat {pid})\n\
                 kill -TERM \"$pid\" 2>/dev/null || exit 0\n\
                 while kill -0 \"$pid\" 2>/dev/null; do sleep 0.05; done\n"
            ),
        )?;
        Ok(props)
    }

    fn command(&self, running: &Running, words: &[String]) -> Result<Command> {
        let shell = ["bash".to_owned()];
        let words = if words.is_empty() { &shell } else { words };
        let (program, arguments) = words.split_first().context("no command")?;
        let mut command = Command::new(program);
        let binaries = running.cluster.binaries();
        let kubectl = binaries.kubectl();
        let folders = [kubectl.parent(), running.programs.plugin.parent()]
            .into_iter()
            .flatten()
            .map(Path::to_owned);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&path)))?;
        command
            .args(arguments)
            .stdin(Stdio::inherit())
            .kill_on_drop(true)
            .env("PATH", path)
            .env("KUBECONFIG", running.cluster.kubeconfig("admin"))
            .env("INTEGRATION", format!("{}/{}", PROD.0, PROD.1))
            .env("OPERATOR_PID", running.operator.pid.to_string())
            .env("HEALTH", &running.operator.health)
            .env("SIM", running.control.origin())
            .env("TOKEN", &self.token)
            .env("START", &self.start)
            .env("STOP", &self.stop)
            .env("STAGE", &self.folder);
        Ok(command)
    }

    /// Ends the operator that the command may have started, which this process does not own.
    fn clear(&self) {
        std::process::Command::new(&self.stop).status().ok();
    }
}

fn script(path: &Path, text: &str) -> Result<()> {
    fs::write(path, format!("#!/usr/bin/env bash\n{text}"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
