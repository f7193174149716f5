//! The README shows what a newcomer sees: it is followed on a cluster with nothing in it, by the real helm and kubectl, with the roles that the
//! chart brings for people.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use keyloan_cluster::{ControlPlane, Helm, Options, wait_until};
use tempfile::TempDir;
use tokio::process::Command;

use super::page::{Page, Program, Shown};
use super::program::{Ran, ended, run_shown};
use crate::world::{TEAM, World, simulator};

const README: Page = Page {
    name: "README.md",
    text: include_str!("../../../README.md"),
};

/// Before one of these, the API server has to know the roles that the page has just given.
const MAY: [(&str, &str); 2] = [("alice", "accessgrants"), ("bob", "accessdecisions")];

pub async fn shows_what_a_newcomer_sees() {
    let helm = Helm::find().await.expect("helm");
    let cluster = ControlPlane::start(Options::default()).await;
    let cluster = cluster.expect("a control plane");
    let commands = README.commands();
    let last_chart = commands.iter().rposition(|c| c.program == Program::Helm);
    let (installing, using) = commands.split_at(last_chart.expect("the charts") + 1);
    let charts = installing.iter().filter(|c| c.program == Program::Helm);
    assert_eq!(charts.count(), 2);
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    for shown in installing {
        let ran = match shown.program {
            Program::Helm => install(&cluster, &helm, shown).await,
            Program::Kubectl => kubectl(&cluster, checkout, &shown.who, &shown.line).await,
            Program::Plugin => panic!("the charts come first"),
        };
        README.compare(shown, &ran);
    }
    cluster.until_in_force().await.expect("policies");
    // No pod runs here: the operator is a part of this process.
    let mut world = World::in_cluster(cluster, simulator()).await;
    world.restart_operator().await;
    let checkout = filled_in(&world).await;
    let mut strangers = MAY.to_vec();
    for shown in using {
        if shown.line.iter().any(|word| word == "wait") {
            // Kubectl gives up after 30 s, which is enough for a reader but not for a machine that is busy with other tests.
            world.until_integration("prod", "True").await;
            world.until_flow_is_known("databases").await;
        }
        if let Some(stranger) = strangers.iter().position(|(who, _)| *who == shown.who) {
            let (who, what) = strangers.remove(stranger);
            until_allowed(&world, checkout.path(), who, what).await;
        }
        let ran = match shown.program {
            Program::Helm => panic!("the charts come first"),
            Program::Kubectl => {
                let ran = kubectl(&world.cluster, checkout.path(), &shown.who, &shown.line).await;
                assert_eq!(ran.code, 0, "{:?}: {ran:?}", shown.line);
                ran
            }
            Program::Plugin => run_shown(&world, shown).await,
        };
        README.compare(shown, &ran);
    }
    assert!(strangers.is_empty(), "{strangers:?} appear on the page");
}

/// The tests run in the checkout, as the page's reader does.
async fn install(cluster: &ControlPlane, helm: &Helm, shown: &Shown) -> Ran {
    let kubeconfig = cluster.kubeconfig("admin").display().to_string();
    let mut line: Vec<&str> = shown.line.iter().map(String::as_str).collect();
    line.extend(["--kubeconfig", &kubeconfig]);
    let said = helm.run(&line).await.unwrap_or_else(|e| panic!("{e}"));
    Ran {
        code: 0,
        out: said,
        err: String::new(),
    }
}

/// A folder with the examples, and a token in them, as the page says.
async fn filled_in(world: &World) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let examples = folder.path().join("examples");
    std::fs::create_dir(&examples).expect("a folder");
    let token = world.control.token("lender").await.expect("a token");
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for file in std::fs::read_dir(here).expect("examples") {
        let file = file.expect("an example");
        if !file.path().is_file() {
            continue;
        }
        let text = std::fs::read_to_string(file.path()).expect("text");
        let text = text.replace("ops_REPLACE_ME", &token);
        std::fs::write(examples.join(file.file_name()), text).expect("written");
    }
    folder
}

async fn kubectl(cluster: &ControlPlane, checkout: &Path, who: &str, line: &[String]) -> Ran {
    let running = Command::new(cluster.binaries().kubectl())
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig(who))
        .args(line)
        .current_dir(checkout)
        .env("HOME", checkout)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("kubectl");
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    ended(running, &line).await
}

/// The API server sees a RoleBinding a moment after it was made.
async fn until_allowed(world: &World, checkout: &Path, who: &str, what: &str) {
    let question = ["auth", "can-i", "create", what, "--namespace", TEAM].map(str::to_owned);
    let allowed = async || {
        let answer = kubectl(&world.cluster, checkout, who, &question).await;
        (answer.code == 0).then_some(())
    };
    let waited = wait_until("a right", Duration::from_secs(60), allowed).await;
    waited.unwrap_or_else(|_| panic!("{who} may not create {what}"));
}
