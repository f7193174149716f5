//! The operator's two replicas under one lease: killed, stopped, and started again at once.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use keyloan_cluster::{GLIBC_SETTINGS, OPERATOR_NAMESPACE, Program, signal, wait_until};

use crate::ground::Ground;

/// The lease that the leader holds.
pub const LEASE: &str = "keyloan";
/// The time limit for a planned stop: that of a link in progress and some more.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
/// The time limit for the end of a killed process.
const KILLED_WITHIN: Duration = Duration::from_secs(10);
/// How much of a log is shown.
const LINES: usize = 10;

/// Both replicas.
pub struct Operators {
    program: PathBuf,
    arguments: Vec<String>,
    logs: PathBuf,
    started: usize,
    replicas: Vec<Replica>,
    /// Replicas that have ended without being told to, each with its last words.
    pub ended_by_themselves: Vec<String>,
}

struct Replica {
    identity: String,
    program: Program,
}

impl Operators {
    /// Starts both: this program with these first words.
    pub fn start(ground: &Ground, program: PathBuf, words: &[&str]) -> Result<Self> {
        let logs = ground.folder().join("operators");
        fs::create_dir_all(&logs)?;
        let lease = format!("--lease={OPERATOR_NAMESPACE}/{LEASE}");
        let origin = format!("--allow-origin={}", ground.control.origin());
        let core = format!("--core={}", ground.core.display());
        let kubeconfig = format!("--kubeconfig={}", ground.operator_kubeconfig.display());
        let words = words.iter().map(|word| (*word).to_owned());
        let mut operators = Self {
            program,
            arguments: words.chain([kubeconfig, origin, core, lease]).collect(),
            logs,
            started: 0,
            replicas: Vec::new(),
            ended_by_themselves: Vec::new(),
        };
        for _ in 0..2 {
            let identity = operators.next_identity();
            let replica = operators.replica(identity)?;
            operators.replicas.push(replica);
        }
        Ok(operators)
    }

    /// The place of the replica with this identity, or else of the first one.
    pub fn place_of(&self, identity: Option<&str>) -> usize {
        let is_it = |replica: &Replica| Some(replica.identity.as_str()) == identity;
        self.replicas.iter().position(is_it).unwrap_or(0)
    }

    /// The process of the replica in this place.
    pub fn process(&self, place: usize) -> u32 {
        self.replicas[place].program.id()
    }

    /// Whether this is the identity of a replica that runs.
    pub fn has(&self, identity: &str) -> bool {
        self.replicas
            .iter()
            .any(|replica| replica.identity == identity)
    }

    /// Kills a replica and starts it again: with its identity, as in the same pod, or with another
    /// one, as in a new pod.
    pub async fn kill(&mut self, place: usize, in_new_pod: bool) -> Result<()> {
        let replica = &mut self.replicas[place];
        signal(replica.program.id(), "KILL").context("cannot kill a replica")?;
        let ended = async || replica.program.has_ended();
        wait_until("a killed replica has ended", KILLED_WITHIN, ended).await?;
        self.restart(place, in_new_pod)
    }

    /// Stops a replica as a rollout does, and starts one in a new pod; returns how long the stop
    /// took.
    pub async fn stop(&mut self, place: usize) -> Result<Duration> {
        let began = Instant::now();
        let replica = &mut self.replicas[place];
        replica
            .program
            .terminate()
            .context("cannot stop a replica")?;
        let ended = async || replica.program.has_ended();
        let status = wait_until("a replica has stopped", STOPPED_WITHIN, ended).await?;
        if !status.success() {
            let said = replica.program.log_tail(LINES);
            bail!("a replica that was told to stop ended with {status}; its last words:\n{said}");
        }
        let took = began.elapsed();
        self.restart(place, true)?;
        Ok(took)
    }

    /// Starts replicas again that have ended by themselves, such as one that could not renew its
    /// lease in time.
    pub fn look_after(&mut self) -> Result<()> {
        for place in 0..self.replicas.len() {
            let replica = &mut self.replicas[place];
            if replica.program.has_ended().is_some() {
                let said = replica.program.log_tail(1);
                self.ended_by_themselves.push(said);
                self.restart(place, false)?;
            }
        }
        Ok(())
    }

    /// Stops both.
    pub async fn strike(mut self) -> Result<()> {
        for replica in &mut self.replicas {
            replica
                .program
                .terminate()
                .context("cannot stop a replica")?;
            let ended = async || replica.program.has_ended();
            wait_until("a replica has stopped", STOPPED_WITHIN, ended).await?;
        }
        Ok(())
    }

    fn restart(&mut self, place: usize, in_new_pod: bool) -> Result<()> {
        let identity = match in_new_pod {
            true => self.next_identity(),
            false => self.replicas[place].identity.clone(),
        };
        self.replicas[place] = self.replica(identity)?;
        Ok(())
    }

    fn next_identity(&self) -> String {
        format!("replica-{}", self.started + 1)
    }

    fn replica(&mut self, identity: String) -> Result<Replica> {
        self.started += 1;
        let mut command = Command::new(&self.program);
        command
            .envs(GLIBC_SETTINGS)
            .args(&self.arguments)
            .arg(format!("--identity={identity}"));
        let log = self.logs.join(format!("{}.log", self.started));
        let program = Program::start(&command, &log).context("cannot start the operator")?;
        Ok(Replica { identity, program })
    }
}
