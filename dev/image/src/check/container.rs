//! Runs a program as a container engine does: with another root and user, without rights, and
//! without being able to write.
//!
//! An engine is not used because none can be had everywhere: where there are no cgroups, none
//! starts. A program here has neither limits of memory and processor time, nor a filter of system
//! calls, nor a network and processes of its own.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use keyloan_cluster::{Memory, Program, wait_until};

use super::pod::Pod;
use super::root::Root;

/// A user such as OpenShift chooses for a namespace. Its group is root's, as there.
const USER: &str = "1000650000";
/// The search path that engines set.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Mounts within a namespace of its own, and becomes the program: `$0` is the root, `$1` the number
/// of mounts, then from where and to where, and after them the program.
const RUN: &str = r#"set -e
root=$0 mounts=$1
shift
mount --bind "$root" "$root"
while [ "$mounts" -gt 0 ]; do
    mount --bind "$1" "$root/$2"
    mount -o remount,bind,ro "$root/$2"
    shift 2
    mounts=$((mounts - 1))
done
mount -t proc -o ro proc "$root/proc"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$KEYLOAN_USER:0" --groups=0 "$root" "$@"
"#;

/// The time limit for becoming ready, and for a planned stop.
const WITHIN: Duration = Duration::from_secs(120);

/// A container that runs.
pub struct Container {
    program: Program,
    /// The time from its start until it was ready.
    pub ready_after: Duration,
}

impl Container {
    /// Starts the pod's container, and waits until the operator is ready.
    pub async fn start(root: &Root, pod: &Pod) -> Result<Self> {
        let mut command = Command::new("env");
        command.arg("--ignore-environment");
        command.arg(format!("PATH={PATH}"));
        let user = [("KEYLOAN_USER".to_owned(), USER.to_owned())];
        for (name, value) in pod.environment.iter().chain(&user) {
            command.arg(format!("{name}={value}"));
        }
        for (name, value) in root.environment {
            command.arg(format!("{name}={value}"));
        }
        command
            .args(["unshare", "--mount", "sh", "-c", RUN])
            .arg(&root.folder)
            .arg(root.mounts.len().to_string());
        for (from, to) in &root.mounts {
            command.arg(from).arg(to);
        }
        command.args(&root.program).args(&pod.arguments);
        let log = root.folder.with_extension("log");
        let started = Instant::now();
        let program = Program::start(&command, &log).context("cannot start the container")?;
        let mut container = Self {
            program,
            ready_after: Duration::ZERO,
        };
        container.until_ready(&pod.health).await?;
        container.ready_after = started.elapsed();
        Ok(container)
    }

    async fn until_ready(&mut self, health: &str) -> Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://{health}/readyz");
        let ready = async || {
            if self.program.has_ended().is_some() {
                return Some(false);
            }
            let answer = http.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(true)
        };
        let ready = wait_until("the operator is ready", WITHIN, ready).await;
        let is_ready = ready.with_context(|| self.last_words())?;
        ensure!(is_ready, "the operator has ended; {}", self.last_words());
        Ok(())
    }

    /// Fails if the process is not who, or has more than, a pod would be and have.
    pub fn ensure_confined(&self) -> Result<()> {
        let status = self.of_process("status")?;
        let is = |name: &str, expected: &[&str]| {
            let fields = status.lines().find_map(|line| line.strip_prefix(name));
            fields.is_some_and(|fields| fields.split_whitespace().eq(expected.iter().copied()))
        };
        ensure!(is("Uid:", &[USER; 4]), "the operator runs as another user");
        ensure!(
            is("CapEff:", &["0000000000000000"]) && is("NoNewPrivs:", &["1"]),
            "the operator has rights on this machine"
        );
        for mount in self.of_process("mountinfo")?.lines() {
            // The sixth field has the options of the mount (proc_pid_mountinfo(5)).
            let options = mount.split(' ').nth(5).unwrap_or_default();
            ensure!(
                options.split(',').any(|option| option == "ro"),
                "the operator can write to a file system: {mount}"
            );
        }
        Ok(())
    }

    /// The memory that the operator uses now.
    pub fn memory(&self) -> Result<Memory> {
        Memory::of(self.program.id()).context("the operator's memory is not known")
    }

    /// Stops the operator as a cluster does; an error if it does not end well.
    pub async fn stop(mut self) -> Result<()> {
        self.program.terminate()?;
        let ended = async || self.program.has_ended();
        let how = wait_until("the operator has stopped", WITHIN, ended).await;
        let how = how.with_context(|| self.last_words())?;
        ensure!(
            how.success(),
            "the operator ended with {how}; {}",
            self.last_words()
        );
        Ok(())
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        format!("the end of its log:\n{}", self.program.log_tail(15))
    }

    fn of_process(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.program.id());
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}
