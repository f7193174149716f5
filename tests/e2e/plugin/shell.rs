//! Runs the blocks of a page by a shell, as its reader does: with the real kubectl, helm and plugin in the PATH.

use std::path::Path;
use std::process::Stdio;

use keyloan_cluster::{ControlPlane, Helm};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use tokio::process::Command;

use super::program::{PROGRAM, Ran, ended};
use super::steady::lines;

/// A shell, with a home folder in which it runs.
pub struct Shell {
    home: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Shell {
    /// A shell that finds these programs.
    pub fn new(cluster: &ControlPlane, helm: Option<&Helm>) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin).expect("made");
        let link = |program: &Path, name: &str| {
            std::os::unix::fs::symlink(program, bin.join(name)).expect("linked");
        };
        link(&cluster.binaries().kubectl(), "kubectl");
        link(Path::new(PROGRAM), "kubectl-keyloan");
        if let Some(helm) = helm {
            link(helm.program(), "helm");
        }
        // The pages are read in a checkout.
        for folder in ["charts", "examples"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            std::os::unix::fs::symlink(from, home.path().join(folder)).expect("linked");
        }
        Self {
            home,
            variables: Vec::new(),
        }
    }

    /// Sets a variable for all that is run later.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.variables.push((name, value.to_owned()));
    }

    /// Puts a file where the commands find it.
    pub fn put(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).expect("written");
    }

    /// Runs commands as the person of a kubeconfig. The first one that fails ends them.
    pub async fn run(&self, kubeconfig: &Path, commands: &str) -> Ran {
        let home = self.home.path();
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            home.join("bin").display()
        );
        let running = Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(home)
            .env_clear()
            .env("PATH", path)
            .env("HOME", home)
            .env("KUBECONFIG", kubeconfig)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("bash");
        ended(running, &[commands]).await
    }
}

/// The kubeconfig of a person whom the administrator impersonates, with a namespace in its context.
pub fn kubeconfig_of(
    cluster: &ControlPlane,
    username: &str,
    groups: &[&str],
    namespace: &str,
) -> NamedTempFile {
    let mut kubeconfig = of(cluster, "admin", namespace);
    let user = &mut kubeconfig["users"][0]["user"];
    user["as"] = json!(username);
    user["as-groups"] = json!(groups);
    stored(&kubeconfig)
}

/// The kubeconfig of somebody who can sign in, with a namespace in its context.
pub fn kubeconfig_in(cluster: &ControlPlane, who: &str, namespace: &str) -> NamedTempFile {
    stored(&of(cluster, who, namespace))
}

fn of(cluster: &ControlPlane, who: &str, namespace: &str) -> Value {
    let text = std::fs::read_to_string(cluster.kubeconfig(who)).expect("a kubeconfig");
    let mut kubeconfig: Value = serde_json::from_str(&text).expect("JSON");
    kubeconfig["contexts"][0]["context"]["namespace"] = json!(namespace);
    kubeconfig
}

fn stored(kubeconfig: &Value) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), kubeconfig.to_string()).expect("written");
    file
}

/// The commands went well, and printed the lines that the page shows. Rows of a table may have another order.
pub fn compare(place: &str, shown: &str, ran: &Ran) {
    let sorted = |text: &str| {
        let mut lines = lines(text);
        lines.sort();
        lines
    };
    assert_eq!(ran.code, 0, "{place}:\n{}\n{}", ran.out, ran.err);
    let (page, out, err) = (sorted(shown), sorted(&ran.out), sorted(&ran.err));
    let is_told = |line: &String| out.contains(line) || err.contains(line);
    assert!(
        page.iter().all(is_told) && out.iter().all(|line| page.contains(line)),
        "{place} shows:\n{shown}\nprinted:\n{}\n{}",
        ran.out,
        ran.err
    );
}
